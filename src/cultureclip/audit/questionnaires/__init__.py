"""A questionnaire: its file, the questions as they are asked, and the answers."""
