"""Whether a run can end well, how long it takes and what it costs, before it begins."""
