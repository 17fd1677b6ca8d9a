"""What a training will be before anything is loaded: settings filled in, estimated."""
