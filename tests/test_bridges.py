"""A solid's loose pieces are joined where the photo allows it."""

import numpy as np
from scipy.ndimage import label

from diffrender.bridges import bridges

LEVEL = 0.4


def joined(occupancy, allowed):
    way = bridges(occupancy, LEVEL, allowed)
    return way, label((occupancy > LEVEL) | way)[1]


def test_a_faded_limb_is_followed_rather_than_the_shortest_way():
    occupancy = np.zeros((12, 12, 3))
    occupancy[:4, :4, 1] = occupancy[8:, :4, 1] = 1
    occupancy[2, 4:9, 1] = occupancy[2:10, 8, 1] = occupancy[9, 4:9, 1] = 0.35  # a bow from one to the other
    allowed = np.ones(occupancy.shape, bool)
    way, count = joined(occupancy, allowed)
    assert count == 1
    assert (occupancy[way] == 0.35).all() and way.sum() == 16


def test_ways_stay_where_they_may_be_and_crumbs_are_left_alone():
    occupancy = np.zeros((20, 20, 20))
    occupancy[:12, :12, :12] = 1
    occupancy[16:18, 2:4, 2:4] = 1
    occupancy[18, 18, 18] = 1  # less than a thousandth
    allowed = np.ones(occupancy.shape, bool)
    way, count = joined(occupancy, allowed)
    assert count == 2 and way.sum() == 4
    allowed[13] = False
    allowed[13, 15, 3] = True  # the only gap in a wall
    way, count = joined(occupancy, allowed)
    assert count == 2 and way[13].sum() == 1 and way[13, 15, 3]
    allowed[13] = False
    way, count = joined(occupancy, allowed)
    assert not way.any() and count == 3


def test_a_solid_of_one_piece_is_left_as_it_is():
    occupancy = np.zeros((5, 5, 5))
    assert not bridges(occupancy, LEVEL, occupancy == 0).any()
    occupancy[1:4, 1:4, 1:4] = 1
    assert not bridges(occupancy, LEVEL, occupancy == 0).any()
