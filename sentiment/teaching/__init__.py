"""Teachers: the model that labels unlabelled reviews, and labelling that resumes after an interruption."""
