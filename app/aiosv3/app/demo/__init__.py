"""The sample job: does the licence text of each installed distribution match the licence that it declares?"""

__all__: list[str] = []
