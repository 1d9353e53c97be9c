import unittest

import policy


class Rank(unittest.TestCase):
    def rank(self, submitted_ms, priority):
        return policy.rank(1e6, policy.Task(submitted_ms, priority))

    def test_the_more_urgent_and_the_earlier_go_first(self):
        self.assertLess(self.rank(1000.0, 0.0), self.rank(2000.0, 0.0))
        self.assertLess(self.rank(2000.0, 1.0), self.rank(1000.0, 0.0))


if __name__ == "__main__":
    unittest.main()
