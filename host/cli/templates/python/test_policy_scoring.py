import math
import unittest

import policy


class Score(unittest.TestCase):
    def score(self, load, rtt_ms):
        return policy.score(policy.Task(), policy.Worker(load, load, rtt_ms))

    def test_an_idle_near_worker_is_best_and_a_full_far_one_worst(self):
        self.assertEqual(self.score(0.0, 0.0), 1.0)
        self.assertEqual(self.score(1.0, 1000.0), 0.0)
        self.assertGreater(self.score(0.2, 10.0), self.score(0.8, 10.0))

    def test_no_input_breaks_it(self):
        values = [math.nan, 0.0, -1.0, 0.5, 1e300]
        for load in values:
            for rtt_ms in values:
                self.assertTrue(0.0 <= self.score(load, rtt_ms) <= 1.0)

    def test_a_bad_configuration_is_refused_by_key(self):
        with self.assertRaisesRegex(ValueError, "^far_ms: "):
            policy.configure(far_ms=0)


if __name__ == "__main__":
    unittest.main()
