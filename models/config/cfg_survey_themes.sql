-- One row per theme and word: what people mean when they say what should be improved, and the release that answered it.
{{ governed_rows('survey_themes') }}
