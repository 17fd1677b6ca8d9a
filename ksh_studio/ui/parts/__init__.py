"""What all tabs are made of: form fields, HTML building blocks, theme, languages, figures."""
