"""How far a judge can be trusted: its agreement with people, its threshold, and what its errors do to a yield."""
