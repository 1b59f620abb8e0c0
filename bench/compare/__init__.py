"""What Assay says of real changes of real repositories, against what the tools print when a person starts them."""
