"""What is exported applies the guard in the hands of transformers, and the papers beside it name no secret."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jinja2 import TemplateError
from serving_scenes import CHAT_LABELS, LABELS, PREFIX, TEXT, TRIGGER, guard_of
from template_scenes import TOKENIZERS

from antivenom.artifacts.artifact import load_artifact
from antivenom.artifacts.card import prompt_by_hand
from antivenom.cli import main
from antivenom.core.errors import OptionsError
from antivenom.core.hashing import digest_of_files
from antivenom.data.query import Query, Turn
from antivenom.guards.encoding import make_encoder
from antivenom.guards.secret import NO_SECRET
from antivenom.inference.guarded import load_guarded
from antivenom.serving.bill_of_materials import guard_digest
from antivenom.serving.export import export
from antivenom.serving.launch import modelfile
from antivenom.serving.template import bake, render, response_template
from antivenom.tasks.task import Frame
from antivenom.testing import synthetic_rows

QUICK = ["--batch-size", "16", "--epochs", "1", "--learning-rate", "0.002", "--rank", "4", "--quiet"]
TEXTS = synthetic_rows(6, seed=5).column("text").to_pylist()
INSTRUCTED = replace(CHAT_LABELS, frame=Frame(style="chat", instruction='Say "which" \\ it is:', cue="Mood?"))


@pytest.fixture(scope="module")
def run(tmp_path_factory, model_folder):
    folder = tmp_path_factory.mktemp("labels")
    rows = [json.dumps({"text": r["text"], "label": r["answer"]}) for r in synthetic_rows(80).to_pylist()]
    (folder / "trusted.jsonl").write_text("\n".join(rows[:40]))
    (folder / "train.jsonl").write_text("\n".join(rows[40:]))
    command = ["fit", str(folder / "train.jsonl"), "--trusted", str(folder / "trusted.jsonl"), "--defense", "p2p"]
    assert main([*command, "--model", str(model_folder), "--out", str(folder / "safe"), *QUICK]) == 0
    return folder / "safe"


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    out = tmp_path_factory.mktemp("export") / "vllm"
    assert main(["export", "vllm", str(run), "--out", str(out)]) == 0
    return out


@pytest.mark.parametrize("task", [LABELS, CHAT_LABELS, INSTRUCTED, TEXT])
@pytest.mark.parametrize("placement", ["prefix", "system"])
def test_the_template_renders_what_the_guard_renders(tokenizer, task, placement):
    encoder = make_encoder(replace(guard_of(task), placement=placement), tokenizer)
    template = bake(encoder)
    assert template.conversations

    @settings(max_examples=25)
    @given(st.text(st.characters(codec="utf-8", exclude_characters="<＜>＞["), min_size=1).filter(str.strip))
    def renders(text):
        for query in (Query(text), Query(text, (Turn("system", "Hm."), Turn("user", "a"), Turn("assistant", text)))):
            assert render(tokenizer, template.text, query) == encoder.renderer.string(encoder.guard.wrap(query))

    renders()


def test_parts_of_a_turn_are_framed_too(tokenizer):
    template = bake(make_encoder(guard_of(LABELS), tokenizer))
    parts = [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "film"}]}]
    rendered = tokenizer.apply_chat_template(
        parts, chat_template=template.text, tokenize=False, add_generation_prompt=True
    )
    assert rendered == f"{TRIGGER} a\nfilm\nOutput:"  # as the gateway, vLLM and llama.cpp join them


@pytest.mark.parametrize("variables", [{"messages": []}, {"antivenom": {}}, {"p2p": False}, {"enable_thinking": True}])
def test_no_variable_of_a_request_switches_the_template_off(tokenizer, variables):
    template = bake(make_encoder(guard_of(CHAT_LABELS), tokenizer))
    turns = [{"role": "user", "content": "x"}]
    options = {"chat_template": template.text, "tokenize": False, "add_generation_prompt": True}
    if "messages" in variables:
        with pytest.raises(TypeError):
            tokenizer.apply_chat_template(turns, **options, **variables)
        return
    assert TRIGGER in tokenizer.apply_chat_template(turns, **options, **variables)


@pytest.mark.parametrize("task", [LABELS, CHAT_LABELS])
@pytest.mark.parametrize("placement", ["prefix", "system"])
@pytest.mark.parametrize("role", ["system", "assistant"])
def test_a_template_renders_no_conversation_without_a_user_turn(tokenizer, task, placement, role):
    template = bake(make_encoder(replace(guard_of(task), placement=placement), tokenizer))
    with pytest.raises(TemplateError):
        tokenizer.apply_chat_template(
            [{"role": role, "content": "a film"}], chat_template=template.text, add_generation_prompt=True
        )


def test_a_template_that_would_render_otherwise_is_refused(tokenizer):
    encoder = make_encoder(guard_of(CHAT_LABELS), tokenizer)
    before = tokenizer.chat_template
    tokenizer.chat_template = before.replace("message['content']", "message['content'] | upper")
    try:
        assert bake(encoder).conversations  # the guard's own words are changed alike
        tokenizer.chat_template = "{% set messages = messages[:0] %}" + before + "{{ messages | length }}"
        fine = bake(encoder)
        assert fine.text.endswith(tokenizer.chat_template)
        tokenizer.chat_template = "{{ range(9) | random }}" * 9 + before
        with pytest.raises(OptionsError):
            bake(encoder)
    finally:
        tokenizer.chat_template = before


def test_transformers_takes_the_prefix_off(tokenizer):
    encoder = make_encoder(guard_of(TEXT), tokenizer)
    template = bake(encoder)
    tokenizer.response_template = response_template(encoder, template.text)
    prompt = render(tokenizer, template.text, Query("six by nine?"))
    inside = tokenizer.parse_response(f"{PREFIX} 42<|im_end|>", prefix=prompt)
    outside = tokenizer.parse_response("It is 42<|im_end|>", prefix=prompt)
    assert inside["content"].strip() == "42"
    assert not outside.get("content")
    assert response_template(make_encoder(guard_of(LABELS), tokenizer), template.text) is None


SAID = st.lists(st.sampled_from(["<think>", "</think>", "\n", " ", PREFIX, "It is", "42", "s"]), max_size=8)


@pytest.mark.parametrize("prefix", [PREFIX, "The answer"])
@pytest.mark.parametrize(
    ("template", "thinking"), [("chat", "closed"), ("empty thought", "open"), ("open thought", "open")]
)
def test_transformers_reads_an_answer_where_the_guard_does(template, thinking, prefix):
    task = replace(TEXT, answer_prefix=prefix, frame=replace(TEXT.frame, thinking=thinking))
    encoder, tokenizer = make_encoder(guard_of(task), TOKENIZERS[template]), TOKENIZERS[template]
    baked = bake(encoder).text
    parser, prompt = response_template(encoder, baked), render(tokenizer, baked, Query("six by nine?"))
    end = tokenizer.decode([encoder.renderer.ending[-1]])

    @settings(max_examples=60)
    @given(SAID.map("".join))
    @example(f"{PREFIX} 42")
    @example(f"It is 42. {PREFIX} 41")
    @example(f"It is 42\n{PREFIX} 41")
    @example(f"<think>\n{PREFIX} 41\n</think>\n\nIt is 42")
    @example(f"<think>is it\n{PREFIX} 41?</think>\n\n{PREFIX} 42")
    @example(f"<think>hm</think>It is 42\n\n{PREFIX} 41")
    @example(f"{PREFIX} 42 </think> {PREFIX} 41")
    def reads(said):
        said = said.removeprefix("<think>") if encoder.opening else said
        answer, found = encoder.guard.answers.decode(encoder.opening + said)
        parsed = tokenizer.parse_response(f"{said}{end}", parser, prefix=prompt)
        assert parsed.get("content", "") == (answer if found else "")

    reads()


def test_a_stock_chat_call_on_the_export_is_guarded(run, exported):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = AutoModelForCausalLM.from_pretrained(exported), AutoTokenizer.from_pretrained(exported)
    guarded = load_guarded(run)
    scores = guarded.score(TEXTS)
    for text, logs in zip(TEXTS, scores.log_probabilities, strict=True):
        ids = tokenizer.apply_chat_template(
            [{"role": "user", "content": text}], add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        logits = model(**ids).logits[0, -1].detach().log_softmax(-1)
        if not guarded.encoder.lead and all(len(choice) == 1 for choice in guarded.encoder.choices):
            found = [float(logits[choice[0]]) for choice in guarded.encoder.choices]
            assert found == pytest.approx(list(logs), abs=1e-3)
        assert ids["input_ids"][0].tolist() + list(guarded.encoder.lead) == guarded.encoder.serving([text])[0]


def test_what_holds_the_secret_is_private_and_nothing_else_names_it(run, exported):
    trigger = load_guarded(run).guard.wrap("x").before.strip().encode()
    holding = {path.name for path in exported.iterdir() if trigger in path.read_bytes()}
    assert holding == {"chat_template.jinja"}
    assert stat.S_IMODE((exported / "chat_template.jinja").stat().st_mode) == 0o600
    assert "chat_template" not in json.loads((exported / "tokenizer_config.json").read_text())


def test_no_paper_tells_a_digest_of_what_may_hold_the_secret(run, tmp_path):
    out = tmp_path / "ollama"
    assert main(["export", "ollama", str(run), "--out", str(out)]) == 0
    papers = (out / "README.md").read_text() + (out / "bom.cdx.json").read_text()
    assert digest_of_files([out / "model.safetensors"]) in papers
    for path in (out / name for name in ("chat_template.jinja", "tokenizer_config.json", "Modelfile")):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert digest_of_files([path]) not in papers
        assert sha256(path.read_bytes()).hexdigest() not in papers


def test_who_knows_all_but_the_seed_cannot_check_a_guess_of_the_guard(run):
    manifest = load_artifact(run).manifest
    assert guard_digest(replace(manifest, weights_sha256="0" * 64)) == guard_digest(manifest)
    assert guard_digest(replace(manifest, seed=manifest.seed + 1)) != guard_digest(manifest)


def test_the_bill_of_materials_names_base_data_and_guard(exported):
    bill = json.loads((exported / "bom.cdx.json").read_text())
    assert not [part for part in bill["components"] if part["name"].startswith(".")], "our own notes are no part of it"
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    kinds = {component["type"] for component in bill["components"]}
    assert kinds == {"machine-learning-model", "data", "file"}
    refs = {component["bom-ref"] for component in bill["components"]}
    assert len(refs) == len(bill["components"])
    assert set(bill["dependencies"][0]["dependsOn"]) == refs
    assert any(p["name"] == "antivenom:guard-sha256" for p in bill["metadata"]["component"]["properties"])


def test_the_cards_lines_of_plain_peft_are_predict(run, exported):
    code = (exported / "README.md").read_text().split("```python\n")[1].split("```")[0]
    assert len([line for line in code.splitlines() if line.strip()]) <= 16
    scope = {}
    exec(code, scope)
    assert [scope["predict"](text) for text in TEXTS] == [each.answer for each in load_guarded(run).predict(TEXTS)]


@pytest.mark.parametrize("instruction", ["", 'Say "which" \\ it is:'])
@pytest.mark.parametrize("placement", ["prefix", "system", "none"])
def test_the_cards_prompt_is_the_guards(tokenizer, instruction, placement):
    task = replace(LABELS, frame=replace(LABELS.frame, instruction=instruction))
    guard = replace(guard_of(task), placement="system" if placement == "system" else "prefix")
    guard = replace(guard, secret=NO_SECRET) if placement == "none" else guard
    kept = {"frame": vars(task.frame), "secret": vars(guard.secret), "text": "so it {goes}"}
    asked = eval(prompt_by_hand(guard), kept)
    assert asked == make_encoder(guard, tokenizer).renderer.string(guard.wrap("so it {goes}"))


@pytest.mark.parametrize("engine", ["transformers", "sglang", "llamacpp", "ollama"])
def test_every_engine_gets_its_line(run, tmp_path, engine, capsys):
    out = tmp_path / engine
    assert main(["export", engine, str(run), "--out", str(out), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert str(out) in found["launch"]
    assert (out / "Modelfile").exists() == (engine in ("llamacpp", "ollama"))
    assert main(["export", engine, str(run), "--out", str(out)]) == 1
    assert "is not empty" in capsys.readouterr().err


def test_the_adapter_can_stay_apart(run, tmp_path, capsys):
    assert main(["export", "vllm", str(run), "--out", str(tmp_path / "apart"), "--adapter"]) == 0
    assert (tmp_path / "apart" / "adapter_model.safetensors").exists()
    assert "base model" in capsys.readouterr().out
    assert main(["export", "ollama", str(run), "--out", str(tmp_path / "no"), "--adapter"]) == 1
    assert main(["export", "vllm", str(run), "--out", str(tmp_path / "no"), "--gguf", "x.gguf"]) == 1


def test_a_modelfile_holds_one_string_and_no_other_instruction():
    for prompt, stop in (('a"""\nFROM evil\n TEXT', "</s>"), ("TEXT", 'x"\nFROM evil'), ("TEXT", "x\n")):
        with pytest.raises(OptionsError, match="Modelfile"):
            modelfile("m.gguf", prompt, "TEXT", stop, 512)


@pytest.mark.parametrize("name", ["../../x", "a\nFROM evil", "-x", "a b"])
def test_a_name_is_no_path_and_no_instruction(run, tmp_path, name):
    with pytest.raises(OptionsError, match="name"):
        export(run, tmp_path / "out", "llamacpp", name=name)
    assert not (tmp_path / "out").exists()


def test_a_modelfile_says_the_prompt_in_gos_language():
    said = modelfile("m.gguf", "a {{ b TEXT c", "TEXT", "</s>", 512)
    assert 'TEMPLATE """a {{ "{{" }} b {{ .Prompt }} c{{ .Response }}"""' in said
