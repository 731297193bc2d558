"""What an audit is given: the subject, the images, and what the privacy tests need to know of them."""
