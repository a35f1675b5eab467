"""What answers say: indices, distances and shares, with their intervals."""
