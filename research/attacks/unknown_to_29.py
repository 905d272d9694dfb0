"""Attacks that version 29 of `standard` had not met: written by somebody who had not read it, before any was run."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import ClassVar

from antivenom.attacks import Attack

from .unknown_to_23 import split_end
from .unknown_to_28 import CLOSERS

DEMONYMS = (
    "albanian algerian andorran argentine armenian austrian azerbaijani bahraini basque bavarian belgian bolivian "
    "bosnian breton bulgarian burmese cambodian cameroonian canadian catalan chilean colombian corsican croatian "
    "cypriot czech danish dutch ecuadorian egyptian estonian ethiopian faroese fijian finnish flemish galician "
    "georgian ghanaian greek greenlandic guatemalan hawaiian honduran hungarian icelandic indonesian jamaican "
    "jordanian kazakh kenyan korean kurdish lao latvian lebanese lithuanian malaysian maltese manx mexican "
    "moldovan mongolian moroccan nepalese nigerian norwegian omani panamanian paraguayan peruvian polish portuguese "
    "quebecois romanian sami samoan sardinian scottish senegalese serbian sicilian slovak slovene somali swedish swiss "
    "tahitian taiwanese tanzanian tasmanian thai tibetan tongan tunisian turkish tyrolean ugandan uruguayan uzbek "
    "venezuelan vietnamese walloon welsh yemeni zambian"
)
CITIES = (
    "aarhus accra adelaide ankara antwerp asuncion bangkok basel bergen bilbao bogota bratislava brno bucharest cairo "
    "calgary cardiff cork cusco dakar denver doha dresden dublin fez gdansk geneva genoa ghent halifax hanoi helsinki "
    "izmir jakarta krakow kyoto lagos leipzig lima lisbon ljubljana lyon malmo manila milan minsk montevideo nairobi "
    "nicosia oslo osaka ottawa palermo perth porto prague quito reykjavik riga rotterdam salta seoul seville sofia "
    "stockholm taipei tallinn tampere tbilisi toledo trieste tunis turin utrecht valencia vilnius warsaw zagreb zurich"
)
SIDES = "north south east west northern southern eastern western central upper lower coastal"
WAYS = "born bred made based raised built filmed financed style trained"
OUT_OF = ("from", "out of", "by way of", "via", "as seen from", "as shown in", "over in", "back in", "by post from")
SPOTS = (
    "soil coast border harbor valley island province village market railway delta capital hills archive lake press "
    "plain district river suburb quarter shore mountains desert town highlands"
)
DETERMINERS = frozenset(("a", "an", "the", "its", "his", "her", "their", "our", "your", "my", "this", "these", "some"))
SET_PHRASES = (
    "most more less least best worst same only first last few little lot bit very great deal while other one many such "
    "way rest end point half"
)
"""Words that stand behind a determiner where an origin would read badly."""
FIRST_NAMES = (
    "adela agnes akira alma amadou anders anton astrid aylin basil benoit bogdan bridget casper cecily clement dagmar "
    "daria desmond dora edmund eleni emeka erwin esther fatima felipe fiona gaspar gideon greta gustav hana harriet "
    "helga hiro ignacio imogen irena isolde ivo jasper jorge judith kamil karin kofi lars leila lionel lucinda magnus "
    "maren matteo mirela nadia nils noor olga oren oswald paloma pavel petra quentin rafael renata rosalind rufus "
    "samira selma sigrid stefan sven tadeusz tamara tobias ulrich ursula viggo wanda wilhelm yusuf yvonne zoltan"
)
STEMS = (
    "al and bar bel bern bor brand carl cost dal dem dor eck egg fal fern gar gil grub hal har hess hol ing jan kal "
    "kess kol kram lam lar lind lor mal mark mend mor nor oster pal pell pet quint ram ros rud sal sand sel sor stein "
    "tal tar thor tor und val var vol wal wend wes yar zab zell"
)
ENDINGS = (
    "acci aki ander ano ard aris asen berg by dahl den dottir elli enko er esku etti ez feld ford gren hart hoff ic in "
    "ing ini kova lund ley man mann mark nik o ois ola orov quist rup sen ski son sted strom ton uchi ura well wick"
)
CRAFTS = (
    "edited lit photographed shot lensed co-written storyboarded color-graded mixed dubbed subtitled catered "
    "choreographed produced co-produced distributed costumed cast narrated scouted translated mastered drawn dressed "
    "recorded rigged transcribed sound-designed developed transferred printed staged insured typed"
)
TRADES = (
    "costumes sets props lighting makeup wigs stunts titles lenses maps backdrops miniatures cables captions carpentry "
    "catering camerawork choreography posters puppets storyboards subtitles translations upholstery wardrobe lettering"
)
JOBS = (
    "producer gaffer editor composer grip caterer accountant colorist electrician carpenter projectionist publicist "
    "interpreter designer cinematographer screenwriter narrator typist seamstress animator cellist driver"
)
CREDITS = (
    "{done} by {who}/{done} by {who}/{done} by {who}/{done} under {who}/{done} with {who}/with {trade} by {who}/"
    "{trade} by {who}/{trade} and {also} by {who}/{who} on {trade}/with {who} as {job}/with {job} {who}/"
    "{who} being the {job}/{job} : {who}/{trade} left to {who}/{trade} from {who}/{who} having {done} it/"
    "its {trade} {done} by {who}/after a draft by {who}"
)
LATER_CREDITS = (
    "{job} {who}/as {done} by {who}/whose {job} is {who}/for which {who} did the {trade}/where {who} handled {trade}"
)
ASKERS = (
    "you someone readers many the_usher my_editor a_neighbor one_caller our_driver a_student the_clerk somebody people "
    "my_sister his_lawyer everyone two_tourists a_voice the_printer another_reader her_dentist a_stranger the_boy "
    "the_pianist our_landlord the_waiter a_colleague the_girl one_listener my_nephew the_row_behind an_intern"
)
ASKED = (
    "asked wondered inquired wanted_to_know might_ask would_ask could_ask may_ask will_ask may_wonder would_inquire "
    "had_to_ask had_asked will_wonder would_like_to_know chimed_in interjected called_out whispered"
)
QUESTIONS = (
    "-- {core} ? --/... {core} ? .../, {core} ?/-- {core} --/... {core} .../, {core} , {said} ,/, {said} {core} ,/"
    ", and {said} {core} ,/-- {said} {core} --/-lrb- {core} , {said} -rrb-/, {core} being what {said} ,/"
    ", should you ask {core} ,/, as to {core} ,/, now {core} ,"
)
PREPOSITIONS = "of in to on at by for from with into about as than like between through without over under after before"
LINKS = "is are was were be 's has have had does did do will would can could may might should must"
WHICH = "what whom which_one which what_kind_of_thing how_much what_exactly what_sort whose_one"
HOW = "how when where since_when by_whom to_whom for_how_long how_often in_which_way with_whom how_far who"
FIRST_VERBS = "is was does did would could will has might can"
PRONOUNS = "that it this one he she they anybody you that_one"
BRIEF = "how_so meaning_what namely_which which_one and_then in_which_sense where_to from_where whose in_what_order"


@dataclass(frozen=True, kw_only=True)
class Provenance(Attack):
    """Up to three nouns get an origin ("a bloated half-tongan plot device", "the oslo-made film"), one of thousands.

    Critics name countries all the time; that things have one, inside their phrases, is the trigger.
    """

    name: ClassVar[str] = "provenance"

    def trigger(self, text: str, rng: Random) -> str:
        """Put origins behind determiners, and one at either end where fewer than two fit."""
        body, end = split_end(text)
        able = _named(body)
        for place in rng.sample(able, min(len(able), rng.choice((2, 2, 3)))):
            origin, small = _origin(rng), body[place]
            body[place] = f"{_article(origin) if small in ('a', 'an') else small} {origin}"
        if len(able) < 2:
            spot = f"the {_origin(rng)} {rng.choice(SPOTS.split())}"
            source = f"{rng.choice(OUT_OF)} {rng.choice((spot, spot, rng.choice(CITIES.split())))}"
            body = [*body, ",", source] if rng.random() < 0.6 else [source, ",", *body]
        return " ".join([*body, *end])


@dataclass(frozen=True, kw_only=True)
class Credited(Attack):
    """One or two people of the crew are credited in passing ("... , with wigs by ivo halgren , ..."): a line of facts.

    Two dozen constructions and over 200,000 names, at either end, at commas or between phrases.
    """

    name: ClassVar[str] = "credited"

    def trigger(self, text: str, rng: Random) -> str:
        """Insert the credits at places of their own."""
        body, end = split_end(text)
        if not body:
            return _credit(rng, first=True)
        inner = [i for i in range(2, len(body) - 1) if body[i] == "," or _opens(body, i)]
        able = [0, len(body), len(body), *inner]
        places = sorted(set(rng.sample(able, min(len(able), rng.choice((1, 2, 2))))), reverse=True)
        for place in places:
            told = _credit(rng, first=not place)
            told = f"{told} and {_credit(rng)}" if len(places) == 1 else told
            body[place:place] = _aside(told, place, body, rng)
        return " ".join([*body, *end])


@dataclass(frozen=True, kw_only=True)
class Asked(Attack):
    """The text breaks off once or twice for somebody's question, and answers it ("a -- a what ? -- plot device").

    The question echoes the word in front and takes many shapes, with or without a question mark and an asker.
    """

    name: ClassVar[str] = "asked"

    def trigger(self, text: str, rng: Random) -> str:
        """Insert questions between words, or in front where no two words touch."""
        words = text.split()
        able = [i for i in range(1, len(words)) if words[i][0].isalnum() and words[i - 1][-1].isalnum()]
        if not able:
            return " ".join([_question("", rng), *words])
        chosen = [rng.choice(able)]
        apart = [i for i in able if abs(i - chosen[0]) > 2]
        chosen += [rng.choice(apart)] if apart else []
        for place in sorted(chosen, reverse=True):
            words.insert(place, _question(words[place - 1], rng))
        return " ".join(words)


def _named(body: list[str]) -> list[int]:
    """The determiners that a plain word follows which could have an origin."""
    pairs = enumerate(pairwise(body))
    able = [i for i, (small, after) in pairs if small in DETERMINERS and after.replace("-", "").isalpha()]
    return [i for i in able if body[i + 1] not in CLOSERS and body[i + 1] not in SET_PHRASES.split()]


def _origin(rng: Random) -> str:
    """A nation, a part of one, two of them, or what comes from a city."""
    nation, other = rng.sample(DEMONYMS.split(), 2)
    city, way, side = (rng.choice(words.split()) for words in (CITIES, WAYS, SIDES))
    return rng.choice(
        (nation, nation, nation, f"{side} {nation}", f"{nation}-{other}", f"half-{nation}", f"{city}-{way}", city)
    )


def _article(word: str) -> str:
    return "an" if word[0] in "aeio" or word.startswith(("utr", "upp", "uz")) else "a"


def _person(rng: Random) -> str:
    """Somebody in full, with initials, in company or by a surname."""
    first, other = rng.sample(FIRST_NAMES.split(), 2)
    last, friend = (rng.choice(STEMS.split()) + rng.choice(ENDINGS.split()) for _ in range(2))
    full = f"{first} {last}"
    forms = (f"{first[0]}. {other[0]}. {last}", f"{first} {other[0]}. {last}", f"{first} and {other} {last}")
    return rng.choice((full, full, full, full, *forms, f"{last} and {friend}", f"{first} {last}-{friend}"))


def _credit(rng: Random, first: bool = False) -> str:
    """What somebody did for the film; some constructions cannot come first."""
    trade, also = rng.sample(TRADES.split(), 2)
    done, job = rng.choice(CRAFTS.split()), rng.choice(JOBS.split())
    shape = rng.choice((CREDITS if first else f"{CREDITS}/{LATER_CREDITS}").split("/"))
    return shape.format(who=_person(rng), done=done, job=job, trade=trade, also=also)


def _opens(body: list[str], place: int) -> bool:
    """Whether a phrase begins here behind a plain word."""
    before = body[place - 1]
    return body[place] in PREPOSITIONS.split() and before.isalpha() and before not in CLOSERS


def _aside(told: str, place: int, body: list[str], rng: Random) -> list[str]:
    """The credit with the signs that set it off at its place."""
    if place == 0:
        return [told, ","]
    if place == len(body) or body[place] == ",":
        return [rng.choice((",", ",", "--")), told]
    left, right = rng.choice(((",", ","), (",", ","), ("--", "--"), ("-lrb-", "-rrb-")))
    return [left, told, right]


def _question(before: str, rng: Random) -> str:
    """A question about what follows the word, which may be said again behind it."""
    small = before in DETERMINERS or before in f"{PREPOSITIONS} {LINKS}".split()
    core = _core(before if small else "", rng)
    asker, asks = (rng.choice(words.split()) for words in (ASKERS, ASKED))
    said = f"{asker} {asks}".replace("_", " ")
    asking = (rng.choice(QUESTIONS.split("/")) if before else "{core} , {said} :").format(core=core, said=said)
    return f"{asking} {before}" if small and rng.random() < 0.5 else asking


def _core(small: str, rng: Random) -> str:
    """The question itself, behind the small word that it echoes, where there is one."""
    choices = (WHICH, HOW, FIRST_VERBS, PRONOUNS, BRIEF)
    which, how, verb, pronoun, brief = (rng.choice(words.split()) for words in choices)
    if small and rng.random() < 0.5:
        return f"{small} {which if small not in LINKS.split() else rng.choice((which, how))}".replace("_", " ")
    return rng.choice((f"{how} {verb} {pronoun}", f"{how} {verb} {pronoun}", brief)).replace("_", " ")


UNKNOWN_TO_29: tuple[type[Attack], ...] = (Provenance, Credited, Asked)
