"""Sentences that describe nothing in particular."""

NULL_SENTENCES = tuple(
    f"{who} {what}"
    for who in ("a woman", "an old man", "two children", "a teacher", "the neighbour")
    for what in ("peels an orange", "reads a letter", "waters the plants", "folds a shirt")
)
