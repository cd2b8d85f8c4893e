"""Plain words for ImageNet's classes, and the kinds that many of them belong to.

The classes are fine (118 breeds of dogs), and many names dated or ambiguous ("hack", "crane", "ear"). Both tables go by
the number of the class, 0 to 999, which is the same in every classifier of ImageNet-1k.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["BROAD", "KINDS", "MATERIALS", "PLAIN"]

KINDS: Mapping[str, str] = {
    # animals
    "fish": "0-6 389-397",
    "shark": "2-4",
    "ray": "5-6",
    "chicken": "7-8",
    "bird": "7-24 80-100 127-146",
    "parrot": "87-90",
    "salamander": "25-29",
    "frog": "30-32",
    "turtle": "33-37",
    "lizard": "38-48",
    "crocodile": "49-50",
    "snake": "52-68",
    "spider": "72-77",
    "crab": "118-121 125",
    "lobster": "122-124",
    "whale": "147-148",
    "dog": "151-268",
    "hound": "160-177",
    "terrier": "179-194 199-204",
    "schnauzer": "196-198",
    "retriever": "205-209",
    "setter": "212-214",
    "spaniel": "152 156 215-221",
    "poodle": "265-267",
    "wolf": "269-272",
    "fox": "277-280",
    "cat": "281-285",
    "big cat": "286-293",
    "bear": "294-297",
    "beetle": "300-307",
    "insect": "300-326",
    "butterfly": "321-326",
    "rabbit": "330-332",
    "rodent": "333-338",
    "pig": "341-343",
    "cattle": "345-347",
    "sheep": "348-349",
    "antelope": "351-353",
    "weasel": "356-360",
    "ape": "365-369",
    "monkey": "370-382",
    "elephant": "101 385-386",
    # plants and food
    "mushroom": "947 991-997",
    "fruit": "948-957",
    "vegetable": "936-946",
    "food": "924-926 933-935 959 962-965",
    "dessert": "927-929",
    "bread": "930-932",
    # clothes
    "shoe": "502 514 630 770 774",
    "hat": "433 439 452 515 667 793 808",
    "helmet": "518 560 715",
    "skirt": "601 655 689 775",
    "coat": "501 568 617 869",
    "sweater": "474 841",
    "swimwear": "445 638 639 842",
    "tie": "451 457 906",
    "bag": "414 636 728 748",
    # on the road, on rails, on water, in the air
    "car": "436 468 511 609 627 656 661 751 817",
    "truck": "555 569 675 717 864 867",
    "bus": "654 779 874",
    "train": "466 547 565 705 820",
    "boat": "472 484 554 576 625 814 871 914",
    "ship": "403 510 628 724 780 913",
    "aircraft": "404 405 895",
    "bicycle": "444 671 870 880",
    "scooter": "665 670",
    # things
    "bottle": "440 737 898 901 907",
    "clock": "409 530 892",
    "phone": "487 528 707",
    "computer": "527 620 681",
    "guitar": "402 546",
    "musical instrument": "401-402 420 432 486 513 541 546 558 566 579 593-594 642 683 684 687 699 776 822 875 881 889",
    "ball": "429-430 522 574 722 768 805 852 890",
    "gun": "413 763-764",
    "chair": "423 559 765 857",
    "cooking pot": "469 521 544 567 909",
    "curtain": "794 854",
    "camera": "732 759",
    "fence": "489 716 912",
    # buildings and land
    "bridge": "821 839 888",
    "building": "425 449 483 497-498 580 663 668 698 727 743 832",
    "shop": "415 424 454 467 509 582 788 860 865",
    "coast": "975-978",
    "landscape": "970 972 974-980",
}
"""Kind -> its classes, as numbers and ranges, both ends included."""

BROAD = frozenset(
    {"insect", "rodent", "weasel", "big cat", "fruit", "vegetable", "food", "dessert", "bread", "swimwear"}
    | {"musical instrument", "ball", "building", "shop", "landscape"}
)
"""Kinds that say less than one of their members: used only where a group spreads over several of these."""

MATERIALS = frozenset({885, 911})  # velvet, wool
"""Classes that are no things: they are seen in anything made of them, and never named unless they are asked for."""

PLAIN: Mapping[int, str] = {
    7: "rooster", 33: "sea turtle", 34: "sea turtle", 97: "duck", 98: "duck", 111: "worm", 131: "heron",
    132: "egret", 195: "Boston terrier", 263: "corgi", 264: "corgi", 286: "puma", 296: "polar bear",
    313: "stick insect", 315: "praying mantis", 321: "admiral butterfly", 322: "ringlet butterfly",
    323: "monarch butterfly", 326: "blue butterfly", 332: "Angora rabbit", 335: "squirrel", 339: "horse",
    341: "pig", 348: "sheep", 354: "camel", 383: "lemur", 384: "lemur", 387: "red panda", 388: "panda",
    391: "salmon", 412: "trash can", 436: "station wagon", 437: "lighthouse", 444: "tandem", 446: "ring binder",
    458: "plaque", 459: "bra", 468: "taxi", 476: "merry-go-round", 477: "tool kit", 480: "cash machine",
    487: "mobile phone", 493: "chest of drawers", 494: "bell", 508: "keyboard", 509: "candy store", 513: "trumpet",
    517: "construction crane", 521: "slow cooker", 528: "telephone", 533: "dishcloth", 545: "fan",
    553: "filing cabinet", 571: "gas pump", 579: "piano", 581: "radiator grille", 584: "hair clip",
    589: "hair dryer", 590: "hand-held computer", 592: "hard disk", 601: "hoop skirt", 602: "high bar",
    607: "pumpkin lantern", 608: "jeans", 610: "T-shirt", 612: "rickshaw", 628: "ocean liner", 630: "loafer",
    633: "magnifying glass", 638: "swimsuit", 639: "swimsuit", 649: "standing stones", 665: "moped",
    666: "mortar and pestle", 673: "computer mouse", 680: "baby bottle nipple", 681: "notebook computer",
    697: "pajamas", 705: "railway carriage", 707: "pay phone", 714: "guitar pick", 724: "pirate ship",
    726: "wood plane", 736: "billiard table", 737: "soda bottle", 738: "flower pot", 744: "missile",
    751: "race car", 757: "camper van", 767: "eraser", 769: "ruler", 776: "saxophone", 778: "weighing scale",
    800: "slot machine", 829: "tram", 831: "sofa", 836: "sunglasses", 840: "mop", 850: "teddy bear",
    867: "trailer truck", 878: "typewriter", 881: "piano", 882: "vacuum cleaner", 895: "military aircraft",
    897: "washing machine", 916: "website screenshot", 921: "book cover", 934: "hot dog",
    936: "cabbage", 948: "green apple", 970: "mountain", 981: "baseball player", 982: "bridegroom",
    984: "rapeseed field", 986: "orchid", 989: "rose hip", 990: "horse chestnut", 998: "ear of corn",
    999: "toilet paper",
}  # fmt: skip
"""Class -> the word to show, where the first one of its lemmas is dated, ambiguous or hardly known."""
