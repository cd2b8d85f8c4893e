"""How a fitted grouping assigns any image: by the nearest centre, by a vote, by a head; and what belongs to none."""
