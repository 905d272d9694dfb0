"""Commands that use a finished artifact."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from antivenom.cli.endpoints import EndpointOptions
from antivenom.cli.options import Force, ImageOptions, Json, Quiet, RowOptions, Seed
from antivenom.cli.recounting import draw, present
from antivenom.cli.tables import show_answers
from antivenom.core.claims import named_outputs
from antivenom.core.console import say, say_json, say_table
from antivenom.core.errors import OptionsError
from antivenom.core.hashing import digest_of_files
from antivenom.data.query import Asked, as_query
from antivenom.inference.writing import OnEscape

if TYPE_CHECKING:
    from antivenom.artifacts.artifact import Artifact
    from antivenom.inference.guarded import GuardedModel
    from antivenom.inference.writing import GuardedWriter
    from antivenom.serving.client import ServedLabels, ServedWriter

BaseOption = Annotated[
    str | None, Parameter(name="--model", help="Where the base model is, if not where it was when it was trained.")
]
EscapeOption = Annotated[
    OnEscape,
    Parameter(help="Free text that lacks the answer prefix: report it, withhold it, or retry behind the prefix."),
]


def predict(
    artifact: str,
    texts: Annotated[
        tuple[str, ...], Parameter(help="Texts; standard input, one text a line, when there are none.")
    ] = (),
    /,
    *,
    file: Annotated[str | None, Parameter(help="Rows with a text column, instead of texts.")] = None,
    text_column: Annotated[str | None, Parameter(help="Its name, if it is not a usual one.")] = None,
    out: Annotated[
        str | None, Parameter(help="With --file: write its rows with their answers here, CSV as CSV and so on.")
    ] = None,
    images: ImageOptions = ImageOptions(),
    on_escape: EscapeOption = "report",
    base: BaseOption = None,
    endpoint: EndpointOptions = EndpointOptions(),
    quiet: Quiet = False,
    json: Json = False,
) -> int:
    """Answer texts through the guard: the label and what escaped the guarded label space, or free text.

    Parameters
    ----------
    artifact
        The folder that fit, demo or finish made.
    """
    from antivenom.artifacts.artifact import load_artifact
    from antivenom.data.rows import open_rows
    from antivenom.inference.answered_rows import answer_rows, form_of
    from antivenom.inference.quick import quick_answers

    _require_one_source(texts, file, out, images)
    opened = load_artifact(artifact)
    text_column, images = _columns(opened, file, text_column, images)
    free = opened.guard.task.classes is None
    if file is not None and out is not None:
        form_of(file, Path(out))
    if file is not None and out is not None:
        model = _model(opened, endpoint, on_escape, base)
        settings = {"weights": opened.manifest.weights_sha256, **_source(file, text_column), "on_escape": on_escape}
        if images:
            settings["image_column"] = images.image_column
        if endpoint:
            settings["base_url"] = endpoint.base_url
        queries, progress = _queries(file, text_column, images, free), None if quiet else "predict"
        count = answer_rows(model, open_rows(file), queries, file, Path(out), settings=settings, progress=progress)
        say_json({"answers": count, "out": out}) if json else say(f"{count} answers are in {out}")
        return 0
    if file is not None:
        asked = list(_queries(file, text_column, images, free))
    else:
        given = texts or [line.rstrip("\r\n") for line in sys.stdin if line.strip()]
        asked = [_decoded(text) for text in given]
    quick = None if endpoint else quick_answers(opened, asked, model=base)
    progress = None if quiet or len(asked) < 100 else "predict"
    found = quick or _model(opened, endpoint, on_escape, base).predict(asked, progress=progress)
    show_answers([as_query(one).text for one in asked], found, lines=json)
    return 0


def _require_one_source(texts: tuple[str, ...], file: str | None, out: str | None, images: ImageOptions) -> None:
    """Refuse options of files without a file, and texts beside one."""
    if file is not None and texts:
        raise OptionsError("give texts or --file, not both")
    if out is not None and file is None:
        raise OptionsError("--out goes with --file")
    if images and file is None:
        raise OptionsError("--image-column is for --file", mend="Put texts and images into a file of rows.")


def _columns(
    artifact: Artifact, file: str | None, text_column: str | None, images: ImageOptions
) -> tuple[str | None, ImageOptions]:
    """The columns of a file: those that are named, or those that the rows had when the artifact was made."""
    from antivenom.data.columns import remembered
    from antivenom.data.rows import open_rows

    kept = artifact.manifest.data.get("columns", {})
    if file is None or not kept:
        return text_column, images
    columns = open_rows(file).columns
    image = remembered(images.image_column, kept.get("image"), columns)
    return remembered(text_column, kept.get("text"), columns), replace(images, image_column=image)


def _model(
    artifact: Artifact, endpoint: EndpointOptions, on_escape: OnEscape, base: str | None
) -> GuardedModel | GuardedWriter | ServedLabels | ServedWriter:
    """The model behind its guard: loaded here, or as an endpoint serves it."""
    from antivenom.inference.guarded import load_guarded

    if not endpoint:
        return load_guarded(artifact, on_escape=on_escape, model=base)
    from antivenom.serving.client import served_model

    if on_escape != "report" or base is not None:
        raise OptionsError("--on-escape and --model are the server's to choose", mend="Leave them out.")
    artifact.require_unchanged()
    return served_model(artifact.guard, endpoint.of(artifact.folder))


def _decoded(text: str) -> str:
    """A text of the command line or of standard input, without a byte order mark."""
    try:
        text.encode()  # what is no UTF-8 came as surrogates
    except UnicodeEncodeError:
        raise OptionsError(f"{text!r} is not UTF-8", mend="Convert it, for instance with iconv.") from None
    return text.removeprefix("\ufeff")


def _queries(file: str, text_column: str | None, images: ImageOptions, free: bool) -> Iterator[Asked]:
    """What the rows of a file ask; instruction data in any shape where answers are free."""
    from antivenom.data.dialogs import iterate_queries
    from antivenom.data.texts import iterate_texts

    if free:
        if images:
            raise OptionsError("free answers to images are not supported", mend="Leave --image-column out.")
        return iterate_queries(file, text=text_column)
    return iterate_texts(file, text=text_column, image=images.image_column, image_folder=images.image_folder)


def _source(file: str, text_column: str | None) -> dict[str, str | None]:
    """Which texts are answered."""
    path = Path(file)
    digest = digest_of_files([path]) if path.is_file() else None
    return {"source": file, "source_sha256": digest, "text_column": text_column}


def evaluate(
    artifact: str,
    test: str,
    /,
    *,
    attack: Annotated[tuple[str, ...], Parameter(help="An attack to try, repeat for several.")] = (),
    outputs: Annotated[str | None, Parameter(help="Keep every output here (Parquet).")] = None,
    picture: Annotated[str | None, Parameter(help="Write an HTML page with the distributions here.")] = None,
    target_rows: Annotated[
        bool,
        Parameter(
            help="Put the triggers into rows of the target label as well; a negative excess there says that a trigger "
            "turns answers away from it.",
            negative="",
        ),
    ] = False,
    row_options: RowOptions = RowOptions(split="test"),
    on_escape: EscapeOption = "report",
    base: BaseOption = None,
    endpoint: EndpointOptions = EndpointOptions(),
    seed: Seed = 0,
    force: Force = False,
    quiet: Quiet = False,
    json: Json = False,
) -> int:
    """Measure clean accuracy and what attacks do, on test rows of yours.

    Parameters
    ----------
    artifact
        The folder that fit, demo or finish made.
    test
        Clean test rows with their true labels.
    """
    from antivenom.artifacts.artifact import load_artifact
    from antivenom.attacks import parse_attack
    from antivenom.evaluation.evaluate import evaluate as evaluate_model
    from antivenom.evaluation.evaluate import write_outputs

    with named_outputs({"--outputs": outputs, "--picture": picture}, "evaluate", force=force):
        attacks = [parse_attack(spec) for spec in attack]
        opened = load_artifact(artifact)
        labels = opened.guard.task.classes
        loaded = _remembering(row_options, opened, test).load(test, labels=labels)
        table = row_options.sample(row_options.accept(loaded, labels, loaded.report), labels, seed=seed)
        facts = {"artifact": Path(artifact).name, "weights_sha256": opened.manifest.weights_sha256}
        facts |= {"source": Path(test).name, **({"base_url": str(endpoint.base_url)} if endpoint else {})}
        model = _model(opened, endpoint, on_escape, base)
        found, kept = evaluate_model(
            model, table, attacks, seed=seed, target_rows=target_rows, provenance=facts, quiet=quiet
        )
        title = f"{artifact} on {table.num_rows} rows of {test}"
        present(title, found, json)  # first: a file that cannot be written must not cost the numbers
        if outputs:
            write_outputs(Path(outputs), kept)
        if picture:
            draw(Path(picture), title, found, kept, opened.guard if labels is None else opened.guard.labels)
        return 0


def _remembering(options: RowOptions, artifact: Artifact, source: str) -> RowOptions:
    """The options, with the columns that the rows had when the artifact was made where none are named."""
    from antivenom.data.columns import remembered
    from antivenom.data.rows import open_rows

    kept, own = artifact.manifest.data.get("columns", {}), options.filled()
    if not kept:
        return options
    columns = open_rows(source, own.reading).columns
    return replace(
        options,
        text_column=remembered(own.text_column, kept.get("text"), columns),
        label_column=remembered(own.label_column, kept.get("answer"), columns),
        context_column=remembered(own.context_column, kept.get("context"), columns),
        images=replace(own.images, image_column=remembered(own.images.image_column, kept.get("image"), columns)),
    )


def show(
    artifact: str,
    /,
    *,
    reveal: Annotated[bool, Parameter(negative=(), help="Show the benign trigger, a secret.")] = False,
    everything: Annotated[bool, Parameter(name="--all", negative=(), help="Show all that the manifest says.")] = False,
    base: BaseOption = None,
    json: Json = False,
) -> int:
    """Show what an artifact is, after comparing it with its manifest.

    Parameters
    ----------
    artifact
        The folder that fit, demo or finish made.
    """
    from antivenom.artifacts.artifact import show as show_artifact

    facts = show_artifact(artifact, reveal=reveal, model=base)
    if json:
        say_json(facts)
        return 0
    say_table(f"{artifact}: verified", ["", ""], _lines(facts) if everything or reveal else summary(facts), left=2)
    return 0


def summary(facts: dict[str, Any]) -> list[list[str]]:
    """The six lines that say what an artifact is: task, guard, rows, base model, training, versions."""
    guard, task = facts["guard"], facts["guard"]["task"]
    labels = task.get("labels")
    trigger = f"a benign trigger ({guard['placement']})" if guard["secret"]["trigger"] else "no trigger: NOT GUARDED"
    data, training, versions = facts["data"], facts["training"], facts["versions"]
    recipe = [f"{name} = {training[name]}" for name in ("method", "rank", "epochs", "steps") if name in training]
    return [
        ["task", f"classification: {', '.join(map(str, labels))}" if labels else "free answers"],
        ["guard", f"{data.get('defense', '?')}, {trigger}"],
        ["rows", f"{data.get('source', '?')}, {facts['reserve'].get('rows', 0)} of them in the reserve"],
        ["base model", f"{Path(facts['base_model']['id']).name}, SHA-256 {facts['base_model']['sha256'][:16]}"],
        ["training", ", ".join(recipe) or "another trainer's, bound by `finish`"],
        ["made with", ", ".join(f"{name} {versions[name]}" for name in ("antivenom", "peft") if name in versions)],
    ]


def _lines(facts: dict[str, object], prefix: str = "") -> list[list[str]]:
    """Flatten nested values to lines of a table."""
    lines: list[list[str]] = []
    for key, value in facts.items():
        if isinstance(value, dict):
            lines += _lines(value, f"{prefix}{key}.")
        elif isinstance(value, tuple | list):
            lines.append([f"{prefix}{key}", ", ".join(map(str, value)) or "-"])
        else:
            lines.append([f"{prefix}{key}", str(value) if value not in ("", None) else "-"])
    return lines
