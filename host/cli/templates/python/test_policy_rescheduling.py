import math
import unittest

import policy


class Review(unittest.TestCase):
    def review(self, elapsed_ms, expected_ms=1000.0):
        return policy.review(0.0, policy.Task(elapsed_ms, expected_ms, 1.0), policy.Worker(2.0))

    def test_a_late_task_is_moved_and_one_in_time_is_not(self):
        self.assertEqual(self.review(10_000.0)[0], "migrate")
        self.assertIsNone(self.review(900.0))

    def test_what_is_not_known_moves_nothing(self):
        self.assertIsNone(self.review(1e9, math.nan))
        self.assertIsNone(policy.review(0.0, policy.Task(math.nan, math.nan, 1.0), None))


if __name__ == "__main__":
    unittest.main()
