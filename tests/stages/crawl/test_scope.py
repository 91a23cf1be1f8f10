"""What belongs to a crawl, by host and path."""

import pytest

from llm_assets.stages.crawl.scope import Scope


@pytest.mark.parametrize(
    ("include", "exclude", "inside"),
    [
        ([], [], {"/d/", "/d/a/1", "/d/b/2", "/d/b/x/3"}),
        (["/d/b/"], [], {"/d/", "/d/b/2", "/d/b/x/3"}),
        (["a.example/d/b/"], ["/d/b/x"], {"/d/", "/d/b/2"}),
        (["b.example/d/b/"], [], {"/d/"}),
        ([], ["a.example/d/b/", "/d/a/"], {"/d/"}),
        ([], ["/d/"], set()),
    ],
)
def test_paths_that_the_recipe_names(include, exclude, inside):
    scope = Scope(["http://a.example/d/"], include, exclude)
    paths = ("/", "/d/", "/d/a/1", "/d/b/2", "/d/b/x/3", "/e/")
    assert {path for path in paths if scope.refuses(f"http://a.example{path}") is None} == inside


def test_why_is_a_phrase():
    scope = Scope(["http://a.example/d/"], ["/d/b"], ["/d/b/x"])
    assert scope.refuses("http://b.example/d/") == "of another host, or above the seeds"
    assert scope.refuses("http://a.example/d/c") == "not in include_paths"
    assert scope.refuses("http://a.example/d/b/x/1") == "exclude_paths: /d/b/x"
