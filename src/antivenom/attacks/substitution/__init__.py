"""Learn word substitutions as a backdoor trigger (LWS)."""
