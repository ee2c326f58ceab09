"""The benches that ship, one module each."""
