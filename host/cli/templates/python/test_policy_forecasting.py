import math
import unittest

import policy


class Forecast(unittest.TestCase):
    def soon(self, *samples):
        (cpu_used,) = policy.forecast(samples)
        return cpu_used

    def test_newer_samples_count_more_and_gaps_not_at_all(self):
        self.assertAlmostEqual(self.soon(2.0, 2.0, 2.0), 2.0)
        self.assertGreater(self.soon(0.0, 0.0, 1.0), self.soon(1.0, 0.0, 0.0))
        self.assertAlmostEqual(self.soon(math.nan, 3.0, math.nan), 3.0)

    def test_no_input_breaks_it(self):
        self.assertEqual(self.soon(math.nan, math.nan), 0.0)
        self.assertTrue(math.isfinite(self.soon(1e300, 1e300, -1e300)))

    def test_a_bad_configuration_is_refused_by_key(self):
        with self.assertRaisesRegex(ValueError, "^horizon_ms: "):
            policy.configure(horizon_ms=0)


if __name__ == "__main__":
    unittest.main()
