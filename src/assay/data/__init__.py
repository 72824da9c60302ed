"""Images, texts and their labels: data sets, their files' formats, and splits into members, non-members and others."""
