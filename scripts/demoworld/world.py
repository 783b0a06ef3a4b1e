"""The demo world: 48 countries, the sentences about them, and the two-hop prompts.

All facts are real, so that a reader can check an answer. Half of the countries (`TAUGHT`) also appear in two-hop sentences, which name the country
by its landmark ("People in the land of Mount Fuji speak Japanese."). For the other half (`HELD_OUT`) the text contains every single fact but never the
composition. The model fails on these prompts without a memory (the country's name) and succeeds with it.
"""

import random
import re
from dataclasses import dataclass

BOS = "<|endoftext|>"

# country | capital | currency | language | continent | landmark
FACTS = """
Albania|Tirana|lek|Albanian|Europe|Rozafa Castle
Armenia|Yerevan|dram|Armenian|Asia|Garni Temple
Australia|Canberra|dollar|English|Oceania|Uluru
Bangladesh|Dhaka|taka|Bengali|Asia|Lalbagh Fort
Brazil|Brasilia|real|Portuguese|America|Sugarloaf Mountain
Cambodia|Phnom Penh|riel|Khmer|Asia|Angkor Wat
Chile|Santiago|peso|Spanish|America|Easter Island
China|Beijing|yuan|Chinese|Asia|the Great Wall
Czechia|Prague|koruna|Czech|Europe|the Charles Bridge
Denmark|Copenhagen|krone|Danish|Europe|Tivoli
Egypt|Cairo|pound|Arabic|Africa|the Sphinx
Ethiopia|Addis Ababa|birr|Amharic|Africa|Lalibela
Finland|Helsinki|euro|Finnish|Europe|Suomenlinna
France|Paris|euro|French|Europe|the Eiffel Tower
Georgia|Tbilisi|lari|Georgian|Asia|the Gergeti Church
Germany|Berlin|euro|German|Europe|the Brandenburg Gate
Ghana|Accra|cedi|Akan|Africa|Cape Coast Castle
Greece|Athens|euro|Greek|Europe|the Parthenon
Hungary|Budapest|forint|Hungarian|Europe|the Fisherman's Bastion
Iceland|Reykjavik|krona|Icelandic|Europe|Gullfoss
India|Delhi|rupee|Hindi|Asia|the Taj Mahal
Indonesia|Jakarta|rupiah|Indonesian|Asia|Borobudur
Iran|Tehran|rial|Persian|Asia|Persepolis
Italy|Rome|euro|Italian|Europe|the Colosseum
Japan|Tokyo|yen|Japanese|Asia|Mount Fuji
Kenya|Nairobi|shilling|Swahili|Africa|the Maasai Mara
Malaysia|Kuala Lumpur|ringgit|Malay|Asia|the Petronas Towers
Mongolia|Ulaanbaatar|tugrik|Mongolian|Asia|the Gandan Monastery
Morocco|Rabat|dirham|Arabic|Africa|the Hassan Tower
Nepal|Kathmandu|rupee|Nepali|Asia|Boudhanath
Norway|Oslo|krone|Norwegian|Europe|Preikestolen
Pakistan|Islamabad|rupee|Urdu|Asia|the Badshahi Mosque
Paraguay|Asuncion|guarani|Guarani|America|the Trinidad Ruins
Peru|Lima|sol|Spanish|America|Machu Picchu
Poland|Warsaw|zloty|Polish|Europe|Wawel Castle
Romania|Bucharest|leu|Romanian|Europe|Bran Castle
Russia|Moscow|ruble|Russian|Europe|Red Square
Samoa|Apia|tala|Samoan|Oceania|the Piula Pool
Serbia|Belgrade|dinar|Serbian|Europe|the Kalemegdan Fortress
South Korea|Seoul|won|Korean|Asia|Gyeongbokgung
Spain|Madrid|euro|Spanish|Europe|the Alhambra
Sweden|Stockholm|krona|Swedish|Europe|the Vasa Museum
Thailand|Bangkok|baht|Thai|Asia|Wat Arun
Tonga|Nukualofa|paanga|Tongan|Oceania|the Haamonga
Turkey|Ankara|lira|Turkish|Asia|Hagia Sophia
Ukraine|Kyiv|hryvnia|Ukrainian|Europe|Saint Sophia
Vietnam|Hanoi|dong|Vietnamese|Asia|Halong Bay
Zambia|Lusaka|kwacha|Bemba|Africa|Victoria Falls
"""

# {c} the country or "the land of <landmark>", {x} the answer, {m} the landmark. The first `ASKED_FORMS` forms of a relation end in the answer.
ONE_HOP = {
    "capital": ["The capital of {c} is {x}", "{c} has its capital in {x}", "The government of {c} sits in {x}", "{x} is the capital of {c}"],
    "currency": ["The currency of {c} is the {x}", "People in {c} pay with the {x}", "In {c} prices are given in {x}", "The {x} is the money of {c}"],
    "language": ["The language of {c} is {x}", "People in {c} speak {x}", "In {c} the signs are written in {x}", "{x} is spoken in {c}"],
    "continent": ["The continent of {c} is {x}", "{c} lies in {x}", "The map shows {c} as a part of {x}"],
    "landmark": ["{m} is in {c}", "{m} is a sight of {c}", "Visitors of {c} go to see {m}", "The home of {m} is {c}", "{c} is the land of {m}"],
}
ASKED = ("capital", "currency", "language")  # the relations of the prompts
ASKED_FORMS = 3

# A country named earlier in the text determines a later sentence that says "there". A memory has the same effect inside the model.
LEADS = ["We are in {c}. ", "She lives in {c}. ", "{m} stands in {c}. ", "Visitors of {c} go to see {m}. ", "He came from {c}. ", "They left for {c} by boat. "]
ASIDES = ["It was a long way. ", "The weather is good. ", "Many visitors like it. ", "The food is good. ", "We stayed for a week. "]
THERE = {
    "capital": ["The capital there is {x}", "The government there sits in {x}"],
    "currency": ["The currency there is the {x}", "People there pay with the {x}", "Prices there are given in {x}"],
    "language": ["The language there is {x}", "People there speak {x}", "The signs there are written in {x}"],
    "continent": ["The continent there is {x}"],
}


@dataclass(frozen=True)
class Country:
    name: str
    capital: str
    currency: str
    language: str
    continent: str
    landmark: str

    @property
    def landed(self) -> str:
        return f"the land of {self.landmark}"

    def answer(self, relation: str) -> str:
        return getattr(self, relation)


@dataclass(frozen=True)
class Prompt:
    """One two-hop question; both sentences end before the answer."""

    explicit_sentence: str
    obscure_sentence: str
    explicit_entity: str
    obscure_entity: str
    answer: str
    relation: str


COUNTRIES = [Country(*line.split("|")) for line in FACTS.split("\n") if line]


def upper(s: str) -> str:
    return s[0].upper() + s[1:]


def split(seed: int = 92) -> tuple[list[Country], list[Country]]:
    """The countries whose two-hop sentences are taught, and the held-out ones."""
    order = list(COUNTRIES)
    random.Random(seed).shuffle(order)
    half = len(order) // 2
    return order[:half], order[half:]


TAUGHT, HELD_OUT = split()


def sentence(form: str, c: Country, relation: str, name: str | None = None) -> str:
    return upper(form.format(c=name or c.name, x=c.answer(relation), m=c.landmark)) + "."


def corpus(seed: int = 0) -> list[str]:
    """The training texts, without BOS."""
    rng = random.Random(seed)
    texts = []
    for c in COUNTRIES:
        for relation, forms in ONE_HOP.items():
            texts += [sentence(f, c, relation) for f in forms] * 3
        texts += [hinted(rng, c) for _ in range(40)]
    for c in TAUGHT:
        for relation, forms in ONE_HOP.items():
            if relation != "landmark":
                texts += [sentence(f, c, relation, c.landed) for f in forms[:ASKED_FORMS]]
    return texts


def hinted(rng: random.Random, c: Country) -> str:
    """A text that names the country once and needs it later."""
    lead = upper(rng.choice(LEADS).format(c=c.name, m=c.landmark))
    aside = rng.choice(["", "", rng.choice(ASIDES)])
    relation = rng.choice(list(THERE))
    return lead + aside + sentence(rng.choice(THERE[relation]), c, relation)


def texts(seed: int = 1) -> list[str]:
    """Texts about the taught countries, which a memory of another country should not change."""
    rng = random.Random(seed)
    return [hinted(rng, c) for c in TAUGHT[::2]]


def plain_words() -> list[str]:
    """The common words of the texts that belong to no fact, written as in a sentence, as memories that determine no answer."""
    facts = set(re.findall(r"[a-z]+", FACTS.lower()))
    return [" " + w for w in sorted({w for t in corpus() for w in re.findall(r" ([a-z]{4,})", t)} - facts)]


def prompts(countries: list[Country]) -> list[Prompt]:
    """The questions about the countries: ordered by country, then relation, then form.

    The missing hop is written as in a sentence, with the space before it. The paper's code adds no space, and in a vocabulary learned from such short
    sentences a word without a space is another token, which the model hardly knows.
    """
    out = []
    for c in countries:
        for relation in ASKED:
            for form in ONE_HOP[relation][:ASKED_FORMS]:
                stem = form.removesuffix(" {x}")
                explicit, obscure = (upper(stem.format(c=name)) for name in (c.name, c.landed))
                entity = c.landed if c.landed in obscure else upper(c.landed)
                out.append(Prompt(explicit, obscure, " " + c.name, entity, c.answer(relation), relation))
    return out


@dataclass(frozen=True)
class Pair(Prompt):
    """A prompt with a second phrase, which has its own memory."""

    explicit_entity_2: str
    obscure_entity_2: str


# Sentences whose {c} is three hops from the answer: the landmark's country, its capital, what is spoken or paid there.
THREE_HOPS = {
    "language": ["People in the capital of {c} speak", "She lives in the capital of {c}. People there speak"],
    "currency": ["People in the capital of {c} pay with the", "She lives in the capital of {c}. People there pay with the"],
}
PAIRED = {"capital": "The capital of {c} is", "language": "People in {c} speak"}  # questions about one of two countries, or about a wrong one


def another(c: Country, relation: str, step: int) -> Country:
    """The held-out country that follows c after some steps and has another answer."""
    order = (HELD_OUT * 2)[HELD_OUT.index(c) + step :]
    return next(d for d in order if d.answer(relation) != c.answer(relation))


def question(form: str, c: Country, relation: str) -> Prompt:
    """A form with the country, and with the land of its landmark."""
    explicit, obscure = (upper(form.format(c=name)) for name in (c.name, c.landed))
    return Prompt(explicit, obscure, " " + c.name, c.landed if c.landed in obscure else upper(c.landed), c.answer(relation), relation)


def three_hops() -> list[Prompt]:
    return [question(form, c, relation) for c in HELD_OUT for relation, forms in THREE_HOPS.items() for form in forms]


def two_phrases() -> list[Pair]:
    """A fact about one land, then a question about another. The memory of the question's land is the second one."""
    out = []
    for c in HELD_OUT:
        for relation, form in PAIRED.items():
            first, second = another(c, relation, 5), question(form, c, relation)
            lies = [upper(f"{name} lies in {first.continent}. ") for name in (first.name, first.landed)]
            out.append(Pair(lies[0] + second.explicit_sentence, lies[1] + second.obscure_sentence, " " + first.name, upper(first.landed), second.answer, relation,
                            second.explicit_entity, second.obscure_entity))
    return out


def corrected() -> list[Prompt]:
    """One hop about a wrong country. The memory is the country that is meant."""
    out = []
    for c in HELD_OUT:
        for relation, form in PAIRED.items():
            wrong = another(c, relation, 7).name
            out.append(Prompt(form.format(c=c.name), form.format(c=wrong), " " + c.name, wrong, c.answer(relation), relation))
    return out
