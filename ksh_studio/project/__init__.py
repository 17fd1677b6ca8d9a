"""What one artist owns on disk: workspace, catalogue, backup."""
