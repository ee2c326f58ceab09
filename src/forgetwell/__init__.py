"""forgetwell: LLM unlearning that survives malicious forget requests."""
