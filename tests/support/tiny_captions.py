"""Videos that are nothing but their captions."""

from varkit.interfaces import Item


class Captioned:
    """Videos whose captions are given; a query's identifier is ``video/number``."""

    name = "Captioned"
    query_kind = "captions"

    def __init__(self, captions):
        self.captions = captions

    def items(self):
        return [
            Item(f"v{v}", tuple(f"{v}/{k}" for k in range(len(texts))))
            for v, texts in enumerate(self.captions)
        ]

    def query(self, query):
        video, number = query.split("/")
        return self.captions[int(video)][int(number)]
