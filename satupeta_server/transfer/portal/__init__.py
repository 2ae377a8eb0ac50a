"""Moving a whole portal here from another backend that speaks the same contract."""
