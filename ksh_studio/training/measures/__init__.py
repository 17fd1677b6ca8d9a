"""What is measured along the way: previews, style score, held-out loss, speed."""
