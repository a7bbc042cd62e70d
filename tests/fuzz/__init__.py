"""Any bytes into everything that reads bytes."""
