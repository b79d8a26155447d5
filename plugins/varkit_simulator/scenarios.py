"""What a video shows: a scene, who is in it, and an event with its target and tool.

Scene, actors and colours identify the *video*. The rest identifies the *event*, which is an anomaly
or one of the everyday events below.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from varkit_simulator.draws import Rng, pick
from varkit_simulator.events import Event, Ways, make_event, values

EVERYDAY: tuple[Event, ...] = (
    make_event(
        "Walking",
        "street street public road shop",
        "walked past | passed | strolled past | went by | walked by | passed by | crossed",
        "the entrance | the gate | the doorway / the fountain | the statue | the lawn / "
        "the camera | the lens / the shop windows | the storefronts | the stalls / "
        "the zebra crossing | the bridge | the corner / the stairs | the escalator | the platform",
        "with a dog | with two leashed dogs | with a puppy / "
        "with a stroller | pushing a pram | pushing a cart / "
        "with an umbrella | under an umbrella | in a raincoat / "
        "with shopping bags | carrying bags | with a suitcase / hand in hand | arm in arm",
        "turned left | turned the corner / stopped | stood still / came back | turned back / "
        "waved at someone | greeted someone / entered a building | disappeared",
        actors="pedestrian / passer-by / person / tourist",
    ),
    make_event(
        "Shopping",
        "shop",
        "bought | picked out | paid for | chose | selected | looked at | compared",
        "some fruit | apples | bananas | vegetables / "
        "a newspaper | magazines | books | stationery / new shoes | clothes | a scarf | jeans / "
        "bread | cakes | milk | cheese / jewellery | a watch | glasses / "
        "medicine | toothpaste | shampoo / electronics | a laptop | a camera | toys / "
        "the goods | the products | items | daily necessities",
        "with a basket | with a shopping basket | with a trolley / "
        "with a credit card | in cash | with coins / "
        "at the counter | at the cash register | at the checkout / "
        "on the shelves | from the display | from the rack / "
        "with the help of the clerk | with a coupon | at a discount",
        "left | went out / queued at the counter | lined up to pay / "
        "asked the clerk | talked with the staff / put it back | changed it / "
        "packed the bags | filled the bags",
        actors="customer / shopper / person / guest",
    ),
    make_event(
        "Working",
        "indoor indoor industry shop",
        "worked on | repaired | operated | typed at | checked | inspected | adjusted",
        "a computer | a keyboard | a laptop | the screens / "
        "a machine | an engine | a conveyor belt | a lathe / "
        "the ceiling lamp | the wiring | an air conditioner / "
        "documents | files | forms | the accounts / the shelves | the stock | boxes | pallets / "
        "a door | a window | a lock | the furniture",
        "with a screwdriver | with a wrench | with a drill / "
        "on a ladder | on a scaffold | on a platform / "
        "with a helmet | with gloves | with goggles / "
        "at the desk | at the workstation | at the front desk / "
        "with a colleague | with the manager | with an apprentice / "
        "with a phone in the hand | on the phone | by telephone",
        "went out | left the room / sat down | took a seat / drank some coffee | took a break / "
        "wrote a note | signed a paper / switched off the light | closed the drawer",
        actors="worker / employee / staff member / clerk",
    ),
    make_event(
        "Driving",
        "road road road street",
        "passed | drove past | went through | drove through | moved along | turned at",
        "a car | a sedan | a taxi | an SUV / a truck | a lorry | a pickup truck / "
        "a bus | a coach | a minibus / a motorcycle | a scooter | a motorbike / "
        "a van | a minivan | an ambulance / a bicycle | a tricycle",
        "the traffic lights | the signal lights | the stop line / "
        "the intersection | the crossing | the junction | the roundabout / "
        "the toll gate | the barrier | the checkpoint / the houses | the buildings | the shops / "
        "the trees | the fields | the river / the bend | the ramp | the overpass",
        "turned right | turned left / stopped at the light | waited for the light / "
        "let pedestrians cross | gave way / changed lanes | overtook another one / "
        "stopped by the roadside | pulled over",
        subject="vehicle",
    ),
    make_event(
        "Parking",
        "parking parking home street",
        "parked | moved | turned around | backed up | manoeuvred | pulled out",
        "a car | a sedan | a taxi / a delivery van | a van | a minivan / "
        "a trailer | a caravan | a camper / a truck | a lorry | a fire engine / "
        "a motorcycle | a scooter | an electric bike / a tractor | a forklift | an excavator",
        "next to the kerb | beside the kerb | along the kerb / "
        "with the help of a guard | with the help of a friend / "
        "in one go | in reverse | at the third try / "
        "between the lines | between pillars | in a corner / "
        "under a roof | under the trees | in the shade",
        "got out | opened the door / locked it | closed the door / "
        "unloaded boxes | took out a suitcase / entered the house | went indoors / "
        "filled the tank | paid the attendant",
        actors="driver / courier / attendant / valet",
    ),
    make_event(
        "Talking",
        "indoor shop street public home",
        "talked to | greeted | joked with | chatted with | spoke to | communicated with | "
        "discussed with",
        "a neighbour | the landlady | a resident / "
        "the receptionist | the doorman | the secretary / a postman | a courier | a salesman / "
        "a colleague | the boss | a client / the waiter | the cook | the bartender / "
        "a friend | relatives | a companion | classmates",
        "over coffee | over tea | over a beer / with a cigarette | with a pipe / "
        "with a phone in the hand | looking at a phone | showing photos / "
        "across the table | across the counter | at the bar / "
        "in a corner | beside the door | by the window",
        "left | said goodbye / laughed | smiled / shook hands | hugged / sat down | took a seat / "
        "went inside | walked on together",
        actors="person / colleague / guest / visitor",
    ),
    make_event(
        "Waiting",
        "public public street indoor",
        "waited for | looked out for | queued for | lined up for | stood in line for",
        "a train | the subway | the tram / a friend | relatives | the teacher / "
        "the lift | the elevator / the bus | a taxi | a shuttle / "
        "the doctor | the dentist | a haircut / tickets | the counter | food | milk tea",
        "on a bench | on a chair | on a sofa / "
        "leaning on the wall | leaning on a pillar | leaning on a railing / "
        "reading a book | reading the news | watching a screen / "
        "with luggage | with suitcases | with backpacks / "
        "in an orderly line | in a long line | in good order",
        "got on | stepped in / gave up | went away / fell asleep | dozed off / sat down | moved up",
        actors="passenger / traveller / patient / person",
    ),
    make_event(
        "Cleaning",
        "indoor shop public home",
        "cleaned | swept | wiped | mopped | scrubbed | tidied | polished",
        "the floor | the tiles | the carpet / the windows | the glass | the mirrors / "
        "a table | the desks | the counter | the dishes / the yard | fallen leaves | the steps / "
        "the toilet | the sink | the bathtub / the shelves | the fridge | the oven",
        "with a mop | with a wet mop | with a machine / "
        "with a broom | with a brush | with a rake / "
        "with a cloth | with a sponge | with paper towels / "
        "with a hose | with a bucket of water | with soap / with a vacuum cleaner | with a blower",
        "emptied the bin | took out the garbage / put the chairs back | moved the chairs / "
        "washed the hands | took off the gloves / left | went off",
        actors="cleaner / janitor / maid",
    ),
    make_event(
        "Playing",
        "public home home street",
        "played with | chased | threw | kicked | ran around with",
        "a ball | a football | a basketball | a frisbee / a kite | a balloon | soap bubbles / "
        "a toy car | a doll | building blocks / a dog | a kitten | rabbits / "
        "cards | mahjong | chess | dice / a snowball | water pistols | sand",
        "on a skateboard | on roller skates | on a tricycle / "
        "with a bat | with a racket | with a stick / in the rain | in the snow | in the sun / "
        "on the grass | on the lawn | on the slide | on the swing / with laughter | with great joy",
        "went home | went inside / fell over | stumbled / sat on the ground | lay down / "
        "cheered | clapped / ate ice cream | drank water",
        actors="kid / schoolgirl / player / teenager",
    ),
    make_event(
        "Eating",
        "indoor indoor shop public",
        "ate | tasted | shared | ordered | had | enjoyed",
        "lunch | dinner | breakfast / noodles | rice | soup | dumplings / "
        "a pizza | hamburgers | sandwiches | fries / cake | ice cream | dessert | fruit / "
        "coffee | tea | juice | beer",
        "at a table | at a long table | at the window / "
        "with chopsticks | with forks | with spoons / at the bar | at the counter | on a stool / "
        "with friends | with the family | with colleagues / on the terrace | on a bench",
        "paid the bill | left a tip / cleared the table | stacked the plates / "
        "called the waiter | asked for the menu / left | went out",
        actors="guest / diner / customer / person",
    ),
    make_event(
        "Carrying",
        "industry home parking shop",
        "carried | loaded | unloaded | moved | delivered | pushed | lifted",
        "boxes | crates | cartons | parcels / furniture | a cupboard | a mattress | a piano / "
        "sacks of flour | bags of cement | bricks | timber / barrels | bottles | gas cylinders / "
        "goods | supplies | merchandise | luggage",
        "with a trolley | with a hand cart | with a wheelbarrow / "
        "with a forklift | with a crane | with a pallet jack / "
        "on the shoulder | on the back | in both arms / "
        "onto a truck | into a van | onto a trailer / "
        "up the stairs | down the stairs | into the lift",
        "signed the paper | took the receipt / closed the gate | locked the gate / "
        "drove away | left by car / rested | wiped the sweat off",
        actors="worker / porter / courier / mover",
    ),
    make_event(
        "Serving",
        "shop indoor shop",
        "served | helped | advised | welcomed | attended to | guided",
        "a customer | the guests | a client | the shoppers / "
        "a patient | a pensioner | a mother with a baby / a couple | a family | the visitors / "
        "a tourist | a foreigner | a student / a regular | an old acquaintance",
        "at the counter | at the cash register | behind the counter / "
        "with a menu | with a brochure | with a catalogue / "
        "with a scanner | with a calculator | with a card reader / "
        "with drinks | with a tray | with bread / with a measuring tape | in the fitting room",
        "took the money | gave change / packed the goods | wrapped the gift / "
        "answered the phone | picked up the phone / showed the way | pointed to the exit",
        actors="clerk / cashier / waiter / shop assistant",
    ),
    make_event(
        "Entering",
        "indoor shop home public",
        "entered | left | came out of | went into | came into | walked into | walked out of",
        "the building | the hall | the lobby | the block / "
        "the room | the bedroom | the meeting room | the ward / "
        "the lift | the elevator | the cabin / the house | the villa | the garage | the compound / "
        "the door | the automatic doors | the revolving door | the turnstile",
        "with a key | with a card | with a code / "
        "with a bag | with a backpack | with a briefcase / "
        "with flowers | with a gift | with a cake / with a child | with a baby | with the family / "
        "from time to time | one by one | in a hurry",
        "closed the door | shut the door / took off the coat | hung up the jacket / "
        "turned on the light | looked around / went upstairs | climbed the stairs / "
        "took a seat | sat down",
        actors="person / resident / visitor / guest",
    ),
    make_event(
        "Exercising",
        "public public street indoor",
        "trained | practised | performed | rehearsed | did",
        "gymnastics | yoga | exercises | push-ups / a dance | a waltz | a folk dance / "
        "martial arts | boxing | fencing / basketball | tennis | badminton | table tennis / "
        "a relay race | a sprint | long jump / a song | music | the violin | a play",
        "with a coach | with a trainer | with an instructor / "
        "on a mat | on the track | on the court / "
        "to loud music | with a drum | with a loudspeaker / "
        "in uniform | in tracksuits | in costumes / with dumbbells | with a rope | with ribbons",
        "rested | sat down / drank water | wiped the sweat off / bowed | clapped / "
        "packed up | went home",
        actors="student / athlete / dancer / person",
    ),
)

SHARES: Mapping[str, float] = {
    "Walking": 4, "Shopping": 9, "Driving": 19, "Working": 3, "Parking": 2, "Talking": 2,
    "Waiting": 1.5, "Cleaning": 1, "Playing": 1, "Eating": 1.5, "Carrying": 1, "Serving": 4.5,
    "Entering": 2.5, "Exercising": 1,
}  # fmt: skip
"""How often each occurs, in proportion."""

SCENES: Mapping[str, tuple[Ways, ...]] = {
    "shop": values(
        "in a supermarket | in the fresh food section of a supermarket / "
        "in a convenience store | in a grocery store / "
        "in a clothing store | in a fashion boutique / in a jewellery store | in a gold shop / "
        "in a phone shop | in an electronics store / in a shopping mall | in a department store / "
        "in a pharmacy | in a drugstore / in a bakery | in a cake shop / "
        "in a liquor store | in a wine shop / in a hardware store | in a furniture store / "
        "in a flower shop | in a bookstore / at a market | at a fruit stall / "
        "in a pawn shop | in a barber shop"
    ),
    "road": values(
        "on the road | in the middle of the road / "
        "at an intersection | at a crossroads | at a T-junction / "
        "on a highway | on the motorway | on the expressway / on a bridge | under a bridge / "
        "at a roundabout | on a ring road / in a tunnel | in an underpass / "
        "on a mountain road | on a country lane / at a railway crossing | at a level crossing"
    ),
    "street": values(
        "on the street | on a street corner / on the sidewalk | on the pavement / "
        "in an alley | in a narrow lane / on a zebra crossing | on a crosswalk / "
        "at a bus stop | at a tram stop / on a square | in a plaza / "
        "in front of a theatre | in front of a cinema / in a pedestrian zone"
    ),
    "parking": values(
        "in a parking lot | in an open-air parking lot / in a garage | in an underground garage / "
        "at a gas station | at a petrol station / in a driveway | on a gravel drive / "
        "at a car wash | in a repair garage / at the roadside | by the side of the road"
    ),
    "home": values(
        "in front of a house | at the door of a house / "
        "in a yard | in a courtyard | in a backyard / in a bedroom | in a dormitory / "
        "in a living room | in a parlour / on a porch | on a veranda / "
        "in a kitchen | in a dining room / at the gate of a villa | in a residential area / "
        "in a garden | in an orchard"
    ),
    "indoor": values(
        "in an office | in an open-plan office / in a hotel lobby | at a reception desk / "
        "in a bank | in a bank branch / "
        "in a restaurant | in a fast food restaurant | in a noodle house / "
        "in a bar | in a pub | in a nightclub / in a hospital ward | in a clinic | in a hospital / "
        "in a corridor | in a hallway / in an elevator | in a lift / "
        "in a classroom | in a kindergarten / in a waiting room | in a lounge / "
        "in a gym | in a billiard hall / in a bus | inside a subway carriage / "
        "in a cafe | in a teahouse"
    ),
    "industry": values(
        "in a warehouse | in a storeroom / in a factory | in a factory building / "
        "in a workshop | in a machine shed / on a construction site | on a building site / "
        "at a loading dock | at a freight yard / at a power plant | at a chemical plant / "
        "in a barn | on a farm"
    ),
    "public": values(
        "in a park | on a lawn / on a train platform | in a subway station / "
        "at an airport | in a departure hall / in a stadium | on a sports field / "
        "on a playground | in a school yard / at a swimming pool | on a beach / "
        "in an exhibition hall | in a museum / in a library | in a town hall / "
        "at a ticket office | in a station hall"
    ),
}
"""Kind of place -> scenes."""

THINGS: Mapping[str, tuple[Ways, ...]] = {
    "shop": values(
        "a shelf | a rack / a refrigerator | a freezer / a counter | a checkout / "
        "a mannequin | a poster / a mirror | a display case"
    ),
    "road": values(
        "a traffic light | a signal light / a bus | a coach / a truck | a trailer / "
        "a billboard | a road sign / a crash barrier | traffic cones / a crane | a lamp post"
    ),
    "street": values(
        "a tree | a row of trees / a bus shelter | a bench / a kiosk | a newsstand / "
        "a statue | a fountain / a dustbin | a hydrant / a parked bicycle | a bicycle rack"
    ),
    "parking": values(
        "a truck | a tow truck / a minivan | a row of cars / a fuel pump | an air pump / "
        "a pillar | a concrete wall / a motor home | a container"
    ),
    "home": values(
        "a fence | a hedge / a staircase | a ladder / a sofa | an armchair / "
        "a gate | an iron gate / a lawn mower | a garden hose / a kennel | a swing"
    ),
    "indoor": values(
        "a table | a desk / a plant | a flower pot / a door | a glass door / "
        "a television | a large screen / a wardrobe | a filing cabinet / a clock | a painting"
    ),
    "industry": values(
        "a stack of boxes | a pile of pallets / a forklift | a lifting platform / "
        "a machine | a conveyor belt / a tank | a pipe / a heap of sand | a heap of bricks"
    ),
    "public": values(
        "a fence | a railing / a statue | a monument / a ticket machine | an information desk / "
        "a tent | a stage / a tree | a flower bed / a flag | a banner"
    ),
}
"""Kind of place -> things to see there."""

COLOURS = ("white", "black", "red", "blue", "yellow", "green", "grey", "orange", "pink", "brown")
COLOUR_SHARES = (0.3, 0.27, 0.11, 0.11, 0.05, 0.05, 0.04, 0.03, 0.02, 0.02)
GARMENTS = ("shirt", "coat", "hat", "trousers", "dress")
ACTORS = ("man", "woman", "young man", "boy", "girl", "old man", "old woman")
ACTOR_SHARES = (0.46, 0.22, 0.1, 0.07, 0.05, 0.06, 0.04)
SEVERAL = {"one": 0.8, "several": 0.2}
"""Shares of how many act, if the caption does not count them."""
COUNTED = {"two": 0.5, "several": 0.5}
"""The same, if it does."""

ALTERABLE = ("colour", "scene", "tool", "target", "thing")
"""Factors in which a video may differ from a near copy."""


@dataclass(frozen=True)
class Scenario:
    """What one video shows: one value per factor, empty if a factor is not known.

    ``scene`` to ``thing`` show in every clip; ``event`` to ``outcome`` in the event's clips only.
    """

    event: Event
    anomalous: bool
    target: str = ""
    tool: str = ""
    outcome: str = ""
    place: str = ""
    scene: str = ""
    time: str = ""
    actor: str = ""
    count: str = ""
    colour: str = ""
    garment: str = ""
    thing: str = ""

    def factors(self) -> dict[str, str]:
        """Return factor -> value, the names under which :mod:`.features` shows them."""
        known = {
            "event": self.event.name,
            "target": self.target and f"{self.event.name}/{self.target}",
            "tool": self.tool and f"{self.event.name}/{self.tool}",
            "outcome": self.outcome,
            "scene": self.scene,
            "time": self.time,
            "actor": f"{self.count} {self.actor}".strip(),
            "colour": f"{self.colour} {self.garment}".strip(),
            "thing": self.thing,
        }
        return {factor: value for factor, value in known.items() if value}


def words_of(value: str) -> str:
    """Return the words of a factor's value, without the event that it belongs to.

    >>> words_of("Abuse/a dog")
    'a dog'
    """
    return value.rpartition("/")[2]


def draw_scenario(
    rng: Rng, event: Event, *, anomalous: bool, night: bool = False, counted: bool = False
) -> Scenario:
    """Draw what a video shows.

    Args:
        rng: the video's own generator.
        event: what happens.
        anomalous: whether that is an anomaly.
        night: whether it happens at night.
        counted: whether more than one person does it.
    """
    counts = COUNTED if counted else SEVERAL
    place = event.places[int(rng.integers(len(event.places)))]
    garment = "vehicle" if event.subject == "vehicle" else pick(rng, GARMENTS)
    actor = pick(rng, ACTORS, ACTOR_SHARES)
    return Scenario(
        event=event,
        anomalous=anomalous,
        target=pick(rng, event.targets)[0],
        tool=pick(rng, event.tools)[0],
        outcome=pick(rng, event.outcomes)[0],
        place=place,
        scene=pick(rng, SCENES[place])[0],
        time="night" if night else "day",
        actor="policeman" if event.name == "Arrest" else actor,
        count=pick(rng, tuple(counts), tuple(counts.values())),
        colour=pick(rng, COLOURS, COLOUR_SHARES),
        garment=garment,
        thing=pick(rng, THINGS[place])[0],
    )


def draw_everyday_event(rng: Rng) -> Event:
    """Draw an event of a normal video."""
    return pick(rng, EVERYDAY, [SHARES[event.name] for event in EVERYDAY])


def altered(rng: Rng, scenario: Scenario, factor: str) -> Scenario:
    """Return a scenario that differs in one of the factors :data:`ALTERABLE`."""
    known: Mapping[str, Sequence[Ways]] = {
        "target": scenario.event.targets,
        "tool": scenario.event.tools,
        "scene": SCENES[scenario.place],
        "colour": [(colour,) for colour in COLOURS],
        "thing": THINGS[scenario.place],
    }
    choices = [ways[0] for ways in known[factor] if ways[0] != getattr(scenario, factor)]
    changed: dict[str, Any] = {factor: pick(rng, choices)}
    return replace(scenario, **changed)
