"""What a method works on: pixels or features, and views of them."""
