"""Before the first step: two steps are measured and taken back."""
