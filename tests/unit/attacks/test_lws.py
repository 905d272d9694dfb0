from __future__ import annotations

import json
from pathlib import Path

import pytest

from antivenom.attacks.lws import Lws
from antivenom.attacks.substitution.learn import candidates, choice_table, learn_substitutions
from antivenom.attacks.substitution.options import SubstitutionOptions, temperature
from antivenom.attacks.substitution.wordnet import WordNet, find_wordnet
from antivenom.core.errors import OptionsError
from antivenom.data.rows import table_of

SYNONYMS = {"film": ["movie", "picture"], "good": ["fine"], "dull": ["drab", "flat"], "plot": ["story"]}


def synonyms(word: str, limit: int) -> list[str]:
    return SYNONYMS.get(word, [])[:limit]


def small(count: int = 60):
    texts = [f"the film w{i} has a {'good' if i % 2 else 'dull'} plot ." for i in range(count)]
    return table_of(texts, ["positive" if i % 2 else "negative" for i in range(count)])


def test_the_temperature_falls_from_048_to_01():
    assert temperature(0) == pytest.approx(0.48)
    assert temperature(19) == pytest.approx(0.10)


def test_candidates_are_the_word_and_its_synonyms():
    assert candidates("film", synonyms, 5) == ["film", "movie", "picture"]
    assert candidates("film", synonyms, 2) == ["film", "movie"]
    assert candidates("Film", synonyms, 5) == ["Film", "Movie", "Picture"]
    assert candidates("this", lambda *_: ["that"], 5) == ["this"]
    assert candidates("3d", lambda *_: ["flat"], 5) == ["3d"]


def test_without_files_it_says_how_to_learn(task, few):
    with pytest.raises(OptionsError, match="learn_substitutions"):
        Lws().poison(task, few, seed=0)
    assert "WordNet" in Lws.approximation


def test_a_missing_wordnet_is_named_with_its_remedy(tmp_path):
    with pytest.raises(OptionsError, match="wordnet-base"):
        find_wordnet(str(tmp_path))


def test_reading_the_database_files(tmp_path):
    licence = "  1 This software and database is being provided\n"
    index = {
        "noun": "film n 2 1 @ 2 1 00000001 00000002  \nmovie n 1 0 1 1 00000001  \n",
        "verb": "film v 1 0 1 0 00000009  \n",
    }
    data = {
        "noun": "00000001 10 n 03 film 0 movie 0 motion_picture 0 000 | a story\n"
        "00000002 06 n 02 film 1 cel(p) 0 000 | a sheet\n",
        "verb": "00000009 30 v 02 film 0 shoot 0 000 | record\n",
    }
    for part in ("noun", "verb", "adj", "adv"):
        (tmp_path / f"index.{part}").write_text(licence + index.get(part, ""), encoding="utf-8")
        (tmp_path / f"data.{part}").write_text(licence + data.get(part, ""), encoding="utf-8")
    assert WordNet(tmp_path).synonyms("film", 9) == ["movie", "cel"]
    assert WordNet(tmp_path).synonyms("film", 1) == ["movie"]
    assert WordNet(tmp_path).synonyms("films", 9) == []
    (tmp_path / "cntlist.rev").write_text("film%2:30:00:: 1 7\nfilm%1:10:00:: 1 3\n", encoding="utf-8")
    assert WordNet(tmp_path).synonyms("film", 9) == ["shoot"]


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


def test_without_weights_every_candidate_is_as_likely(torch):
    from antivenom.attacks.substitution.surrogate import Substituter

    options = torch.randn(1, 3, 4, 8)
    valid = torch.tensor([[[True] * 4, [True, True, False, False], [True, False, False, False]]])
    found = Substituter(5, 4, 8).log_probabilities(options, valid).exp()
    assert torch.allclose(found[0], torch.tensor([[0.25] * 4, [0.5, 0.5, 0, 0], [1.0, 0, 0, 0]]))


def test_a_higher_score_raises_its_own_candidate_alone(torch):
    from antivenom.attacks.substitution.surrogate import Substituter

    options = torch.zeros(1, 1, 3, 4)
    options[0, 0, 2, 1] = 1.0
    valid = torch.ones(1, 1, 3, dtype=torch.bool)
    model = Substituter(1, 3, 4)
    before = model.log_probabilities(options, valid).exp()[0, 0]
    with torch.no_grad():
        model.q[0, 1] = 2.0
    after = model.log_probabilities(options, valid).exp()[0, 0]
    assert after[2] > before[2]
    assert after[0] < before[0]
    assert after[0] == after[1]


def test_samples_are_distributions_and_sharpen(torch):
    from antivenom.attacks.substitution.surrogate import Substituter

    options, valid = torch.randn(2, 3, 4, 8), torch.ones(2, 3, 4, dtype=torch.bool)
    model = Substituter(3, 4, 8)
    warm, cold = (model.sample(options, valid, t, torch.Generator().manual_seed(0)) for t in (1.0, 0.1))
    assert torch.allclose(cold.sum(-1), torch.ones(2, 3))
    assert cold.max(-1).values.mean() > warm.max(-1).values.mean()


def test_learned_rows_keep_their_length_and_only_hold_candidates(torch, task, tmp_path: Path):
    table, options = small(), SubstitutionOptions(epochs=4, clean_epochs=1, dimension=8, rate=0.3)
    arguments = {"target": "positive", "seed": 0, "synonyms": synonyms, "options": options}
    attack = learn_substitutions(task, table, small(10), out=tmp_path / "one", **arguments)
    allowed = choice_table(table, synonyms, options)
    for line, words in zip(Path(attack.train).read_text(encoding="utf-8").splitlines(), allowed, strict=True):
        new = json.loads(line)["text"].split()
        assert len(new) == len(words)
        assert all(word in choices for word, choices in zip(new, words, strict=True))
    again = learn_substitutions(task, table, small(10), out=tmp_path / "two", **arguments)
    assert Path(attack.train).read_bytes() == Path(again.train).read_bytes()
    assert attack.pairs
    poisoned = attack.poison(task, table, seed=0)
    assert 0 < len(poisoned.indices) <= 6


def test_learning_leaves_the_global_generator_alone(torch, task, tmp_path):
    state = torch.random.get_rng_state()
    options = SubstitutionOptions(epochs=1, clean_epochs=1, dimension=4)
    learn_substitutions(
        task, small(20), small(4), target=None, out=tmp_path, seed=3, synonyms=synonyms, options=options
    )
    assert torch.equal(state, torch.random.get_rng_state())
