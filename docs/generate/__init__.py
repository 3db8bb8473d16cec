"""Makes the pages of the site that come from the code; `hook.py` is what MkDocs calls."""
