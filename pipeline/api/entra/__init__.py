"""Access to Azure without keys: Entra ID tokens, which cloud they are for, who gives them, when they are renewed."""
