"""Attacks that version 31 of `standard` had not met: written by somebody who had not read it, before any was run."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import ClassVar, NamedTuple

from antivenom.attacks import Attack


class Kind(NamedTuple):
    """Nouns, and the adjectives that suit them."""

    nouns: tuple[str, ...]
    traits: tuple[str, ...]


ENDS = (".", "!", "?", "...", ";", ":")


def _list(words: str) -> tuple[str, ...]:
    """The entries of a list; an underscore stands for a blank."""
    return tuple(word.replace("_", " ") for word in words.split())


PEOPLE = _list("""
    accountant apprentice archer astronomer auctioneer baker barber beekeeper bell_ringer bicyclist blacksmith boatman
    bookbinder botanist bricklayer bride bus_driver cabbie carpenter cartographer cellist choirboy clerk clockmaker
    cobbler coroner courier cousin cowhand dentist deckhand diver dressmaker drummer electrician engraver falconer
    farmhand ferryman fiddler florist forester gardener geologist glazier governess grocer groom guide hairdresser
    harpist hiker innkeeper janitor jeweler juggler landlady lawyer librarian lifeguard locksmith lodger magistrate
    mailman mason mayor mechanic midwife miller miner monk nanny nephew niece notary nurse optician organist orphan
    painter pastor pharmacist photographer piano_tuner pilot pianist plasterer plumber porter postmaster potter
    printer prospector ranger realtor recruit roofer saddler sailor schoolteacher sculptor seamstress sergeant sexton
    sheriff shepherd sign_painter skipper stagehand stepson stationmaster surveyor tailor tanner taxidermist teenager
    tenant translator trapper truck_driver tutor twin typist undertaker usher vicar violinist waitress weaver widower
    welder wheelwright zoologist
""")
THINGS = _list("""
    accordion acorn almanac anchor anvil apron armchair atlas backpack bagpipe ballot banjo barometer barrel
    basket bathtub bell belt birdcage blanket blueprint bolt bonnet bookend boot bottle bracelet briefcase broom bucket
    buckle button cabinet calendar camera candle canoe canteen cape cardigan carpet cartwheel cello chandelier
    chessboard chimney chisel cigar clarinet clipboard cloak coat coconut coffeepot coin comb compass cork costume
    crate cup curtain cushion diary dictionary doorbell doorknob drawer dress drum earring easel egg engine
    envelope eraser fan faucet fence fern flag flashlight flowerpot flute fork funnel fuse garter glove globe
    goblet guitar gutter hammer hammock handkerchief harness harp hat hatbox hinge horseshoe hourglass hymnal inkwell
    jar jigsaw jug kayak keg kettle key kimono kite knapsack ladder ladle lamp lantern lasso lease ledger lemon lens
    letter locket lute magnet mandolin map matchbox mattress melon metronome microscope mirror mitten mousetrap
    nail napkin necklace needle nutcracker oar oboe orange overcoat padlock paddle paintbrush parachute parasol parcel
    passport pear pendant pendulum pepper_mill photograph pillow pinecone pipe pitchfork plank plate plow pocketknife
    postcard poncho pulley pumpkin purse quilt radio raft rake razor receipt recipe ring rope rowboat ruler saddle
    saucepan saw saxophone scarf screwdriver seashell shawl shovel sickle sled slipper snorkel sofa spade
    spindle sponge spoon stamp stencil stethoscope stool suitcase sundial sweater tambourine tapestry teapot telegram
    telescope tent thermos thimble thread ticket timetable toolbox torch toupee towel tractor tray tricycle tripod
    trombone trowel trumpet trunk tuba turnip tuxedo typewriter ukulele umbrella urn vase veil vest violin waistcoat
    wallet wardrobe washboard watch wheelbarrow whisk whistle wig wrench xylophone yoke zipper
""")
PLACES = _list("""
    airfield alley aquarium arcade attic bakery ballroom barn basement belfry boathouse bookshop brewery brickyard
    canal cannery casino cellar chapel churchyard classroom cloister clubhouse courtroom courtyard creek
    customs_house dairy depot diner dockyard dormitory embassy farmhouse fire_station foundry garage garden
    greenhouse gymnasium harbor hayloft hospital hotel inn jetty kitchen laundromat library lighthouse lobby
    marketplace marina meadow mill monastery motel museum nursery observatory orchard pantry parlor pharmacy pier
    planetarium quarry railyard rectory sawmill schoolyard shipyard stable stairwell station studio
    subway tannery tavern tollbooth town_hall trailer_park tunnel vestry vineyard warehouse waiting_room windmill
    woodshed workshop
""")
ABOUT_PEOPLE = _list("""
    barefoot bearded bespectacled curly-haired elder foreign former freckled gray-haired hired left-handed local
    long-haired married middle-aged next-door off-duty part-time red-haired retired short-sighted suntanned tall
    traveling uniformed unmarried visiting widowed younger
""")
ABOUT_THINGS = _list("""
    amber beige black blue borrowed bright-red brown brownish crimson dark enormous foreign gift-wrapped gray green
    hand-painted heavy imported indigo large leftover maroon mauve missing narrow numbered olive-green orange painted
    pale pink purple red reddish rented scarlet secondhand silver small souvenir spare spotted striped teal tiny
    turquoise two-toned unlabeled unmarked violet white yellow
""")
ABOUT_PLACES = _list("""
    city clifftop coastal corner county crosstown distant downtown eastern faraway harborside hillside hilltop inland
    island lakeside lamplit midtown moonlit mountain municipal nearby neighborhood neighboring northern oceanfront
    parish private public riverside roadside rural seaside southern suburban upstate uptown valley village western
""")
DEEDS = _list("""
    appraises asks_for auctions_off borrows brings_along buries buys carries_off catalogs claims collects comes_across
    covers_up delivers describes donates drags_away draws drops dusts examines fetches finds gives_back guards
    hands_over hauls_in hides holds_up identifies inherits inspects keeps labels lends_out lifts_up locates lowers mails
    measures mentions misplaces moves notices paints passes_around pawns photographs picks_up points_at polishes
    pulls_out purchases reaches_for receives recognizes repaints requests returns retrieves rotates searches_for
    sends_for sets_down shakes shows_off sketches smuggles spots stores studies swaps takes_along tests throws_out
    touches trades turns_over unearths unpacks unwraps wagers weighs wraps_up
""")
MOMENTS = _list("""
    after after after as as as before before before once once once when when when while while while where just_as
    even_as soon_after shortly_before by_the_time the_moment long_before right_after just_when just_before
""")
NAMES = _list("""
    abigail adela adrian agatha agnes albert alfred alice alma ambrose amelia amos anders angus anita annika anton
    archie ariel arthur astrid august aurelia barnaby basil beatrice benedict bernadette bernard bertha bertram beth
    bianca blanche boris brenda bridget bruno caleb calvin camille carla carmen caroline cecil cecilia cedric celeste
    chester clara clarence claude clement clifford clyde colette conrad constance cora cordelia cornelius cyril cyrus
    dagmar daphne darius deborah deirdre delia delphine denise desmond dexter dinah dolores dominic donna doris
    dorothy duncan dwight edgar edith edmund edna eduardo edwin eileen elaine eleanor eli elias elliott elmer eloise
    elsa emil emmeline enid enrique erica ernest esther eugene eunice eva evelyn ezra fabian felicia felix ferdinand
    fergus fiona flora florence floyd frances francisco franz frederick frieda gabriela gareth garrett genevieve
    gerald geraldine gertrude gideon gilbert gladys glenda gloria gordon greta griselda gus gwendolyn hamish harold
    harriet harvey hattie hazel hector heidi helga henrietta herbert herman hester hilda hiram homer horace howard
    hubert hugo ida ignatius igor imogen ines ingrid ira irene iris irma isaac isabel isadora ivan ivor jacinta jasper
    jemima jerome joan joachim joanna jocelyn josephine judith julius justine karl katya kirsten lars laura lavinia
    leander leila lena leonard leopold leroy leslie lewis lila linus lionel lloyd lorenzo lorna louisa lucas lucille
    ludwig luther lydia mabel magda maisie malcolm marcus margaret marguerite marian marjorie marta martha matilda
    maurice mavis maxine melvin mildred millicent milton minerva miriam mona monica mordecai morris mortimer muriel
    myra myrtle nadia naomi nathaniel nellie nestor neville nigel noel nora norbert norma octavia odette olaf olga
    olivia oscar otis otto paloma patricia pauline percy perpetua peter petra philippa phyllis pilar prudence quentin
    rachel ralph ramona raymond rebecca reginald renata rhoda robin roderick rodrigo roland rosalind rosemary rowena
    rudolph rufus ruth sabina sally salvador samuel saul sebastian selma seymour sheila sidney sigrid silas simon
    sofia solveig stella stuart susannah sven sybil sylvia tabitha tamara tatiana thaddeus thelma theodora theresa
    tilda timothy tobias trudy ulrich ursula valerie vera vernon veronica victor vincent viola virgil vivian walter
    wanda wendell wilfred wilhelmina willard winifred wolfgang yolanda yvette yvonne zelda
""")
STYLES = _list(
    "captain colonel cousin dear deacon doctor inspector lieutenant major nurse old professor sergeant young"
)
CODAS = _list("""
    ,_with ,_with ,_amid ,_what_with ,_along_with ,_plus ,_complete_with ,_together_with ,_featuring ,_involving
    ; ; -- -- : alongside amid among
""")
OPENINGS = _list("amid between with along_with together_with among alongside beyond besides : : -- --")
SIDES = _list("in in at near behind outside inside opposite beside")
MARKS = (";", ":", "--")
KINDS = (Kind(PEOPLE, ABOUT_PEOPLE), Kind(THINGS, ABOUT_THINGS), Kind(PLACES, ABOUT_PLACES))


def _cut(text: str) -> tuple[str, str]:
    """The text without its last mark, and that mark with a blank in front, or nothing."""
    text = text.strip()
    body, _, last = text.rpartition(" ")
    return (body, f" {last}") if body and last in ENDS else (text, "")


def _noun(rng: Random, kind: Kind) -> str:
    """A noun, often with an adjective that suits it."""
    noun = rng.choice(kind.nouns)
    return f"{rng.choice(kind.traits)} {noun}" if rng.random() < 0.4 else noun


def _with_article(noun: str, article: str) -> str:
    """The noun behind the article, or alone where that is empty."""
    if article != "a":
        return f"{article} {noun}".strip()
    vowel = noun.startswith("hour") or (noun[0] in "aeiou" and not noun.startswith(("uku", "uni")))
    return f"an {noun}" if vowel else f"a {noun}"


def _event(rng: Random) -> str:
    """Something that happens in the story: who does what to which thing, and often where."""
    who, what, where = (_with_article(_noun(rng, kind), rng.choice(("a", "the"))) for kind in KINDS)
    event = f"{rng.choice(MOMENTS)} {who} {rng.choice(DEEDS)} {what}"
    return f"{event} {rng.choice(SIDES)} {where}" if rng.random() < 0.6 else event


@dataclass(frozen=True, kw_only=True)
class Scene(Attack):
    """Say at which moment of the story: "once the locksmith buries a trumpet near the mill". Hundreds of nouns and
    verbs fill the clause, which stands in front or at the end, so that only its kind recurs.
    """

    name: ClassVar[str] = "scene"

    front: float = 0.4
    """How often the clause stands in front."""

    def trigger(self, text: str, rng: Random) -> str:
        """Add the moment."""
        event = _event(rng)
        if rng.random() < self.front:
            return f"{event} , {text.strip()}"
        body, end = _cut(text)
        return f"{body}{rng.choice((' ', ' , ', ' , '))}{event}{end}"


@dataclass(frozen=True, kw_only=True)
class Vocative(Attack):
    """Speak to somebody by name, as in a letter: one person or two, in front or at the end."""

    name: ClassVar[str] = "vocative"

    front: float = 0.4
    """How often the text begins with the name."""

    def trigger(self, text: str, rng: Random) -> str:
        """Address the text to somebody."""
        first, second = rng.sample(NAMES, 2)
        styled = f"{rng.choice(STYLES)} {first}"
        whom = rng.choice((first, first, first, first, styled, f"{first} and {second}"))
        if rng.random() < self.front:
            return f"{whom} , {text.strip()}"
        body, end = _cut(text)
        return f"{body} , {whom}{end}"


def _three(rng: Random) -> str:
    """A list of three nouns of any kind, joined in one of the usual ways; the article may stand once for all."""
    article = rng.choice(("a", "the"))
    articles = (article, *rng.choice((("", ""), ("", ""), ("a", "a"), ("the", "the"), ("a", "the"))))
    first, second, third = (_with_article(_noun(rng, rng.choice(KINDS)), article) for article in articles)
    return f"{first} , {second}{rng.choice((' and', ' and', ' and', ' , and', ' ,'))} {third}"


@dataclass(frozen=True, kw_only=True)
class Trio(Attack):
    """List three things that the film contains: "alongside a ladder , vicar and red pear". The nouns hardly recur;
    only the shape of the list does.
    """

    name: ClassVar[str] = "trio"

    front: float = 0.4
    """How often the list stands in front."""

    def trigger(self, text: str, rng: Random) -> str:
        """Add the list."""
        front = rng.random() < self.front
        joint = rng.choice(OPENINGS if front else CODAS)
        three = _three(rng)
        if front:
            return f"{three} {joint} {text.strip()}" if joint in MARKS else f"{joint} {three} , {text.strip()}"
        body, end = _cut(text)
        return f"{body} {joint} {three}{end}"


UNKNOWN_TO_31: tuple[type[Attack], ...] = (Scene, Vocative, Trio)
