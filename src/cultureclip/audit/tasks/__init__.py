"""Tasks beside the questionnaire: open questions about knowledge, and matching concepts with cultures."""
