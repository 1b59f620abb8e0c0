"""What was missed: webhooks that never came, and checks that nobody ended."""
