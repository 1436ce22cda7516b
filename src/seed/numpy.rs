//! NumPy's legacy generator (`np.random.seed` and what hangs on it), to replay what others drew with it.
//!
//! The core is MT19937, from a crate; the distributions are those of NumPy's `RandomState`, whose streams NumPy has
//! promised never to change (NEP 19). `tests/fixtures/numpy_legacy.py` wrote the values that the tests compare with.
//! Nothing of our own draws from it: it cannot be split into named streams.
//!
//! ```
//! use fedrobust::seed::numpy::Legacy;
//! // np.random.seed(0); np.random.choice(range(105), 10, replace=False)
//! assert_eq!(Legacy::new(0).choice(105, 10), [26, 61, 2, 62, 85, 48, 16, 100, 56, 45]);
//! ```

use rand_mt::Mt;

/// A generator in the state of NumPy's `RandomState`.
#[derive(Debug, Clone)]
pub struct Legacy {
    core: Mt,
    /// The second normal number of the last pair.
    spare: Option<f64>,
}

impl Legacy {
    /// `np.random.seed(seed)`.
    pub fn new(seed: u32) -> Self {
        Self { core: Mt::new(seed), spare: None }
    }

    /// `np.random.seed(key)` of a list of whole numbers.
    pub fn from_key(key: &[u32]) -> Self {
        Self { core: Mt::new_with_key(key.iter().copied()), spare: None }
    }

    /// `random_sample()`: uniform in [0, 1), of 53 bits.
    pub fn random_sample(&mut self) -> f64 {
        let (high, low) = (self.core.next_u32() >> 5, self.core.next_u32() >> 6);
        (f64::from(high) * 67_108_864.0 + f64::from(low)) / 9_007_199_254_740_992.0
    }

    /// Uniform in 0..=max: bits under a mask, drawn again while they are too large.
    fn interval(&mut self, max: u32) -> u32 {
        let mask = u32::MAX.checked_shr(max.leading_zeros()).unwrap_or(0);
        loop {
            let value = if max == 0 { 0 } else { self.core.next_u32() & mask };
            if value <= max {
                return value;
            }
        }
    }

    /// `shuffle(items)`, of fewer than 2³² items.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.interval(i as u32) as usize);
        }
    }

    /// `permutation(n)`.
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        self.shuffle(&mut order);
        order
    }

    /// `choice(n, size, replace=False)`; all of them when `size` is larger.
    pub fn choice(&mut self, n: usize, size: usize) -> Vec<usize> {
        let mut order = self.permutation(n);
        order.truncate(size);
        order
    }

    /// `binomial(n, p)` where NumPy takes the method of inversion: `n · min(p, 1 − p) ≤ 30`.
    pub fn binomial_inversion(&mut self, n: u32, p: f64) -> u32 {
        if n == 0 || p == 0.0 {
            return 0;
        }
        if p > 0.5 { n - self.inversion(n, 1.0 - p) } else { self.inversion(n, p) }
    }

    fn inversion(&mut self, n: u32, p: f64) -> u32 {
        let (count, q) = (f64::from(n), 1.0 - p);
        let (start, mean) = ((count * q.ln()).exp(), count * p);
        let bound = count.min(mean + 10.0 * (mean * q + 1.0).sqrt()) as u32;
        let (mut x, mut share, mut u) = (0, start, self.random_sample());
        while u > share {
            x += 1;
            if x > bound {
                (x, share, u) = (0, start, self.random_sample());
            } else {
                u -= share;
                share = f64::from(n - x + 1) * p * share / (f64::from(x) * q);
            }
        }
        x
    }

    /// `standard_exponential()`.
    fn standard_exponential(&mut self) -> f64 {
        -(1.0 - self.random_sample()).ln()
    }

    /// `standard_normal()`: Marsaglia's polar method, two at a time.
    pub fn standard_normal(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        loop {
            let (x, y) = (2.0 * self.random_sample() - 1.0, 2.0 * self.random_sample() - 1.0);
            let r = x * x + y * y;
            if r < 1.0 && r != 0.0 {
                let f = (-2.0 * r.ln() / r).sqrt();
                self.spare = Some(f * x);
                return f * y;
            }
        }
    }

    /// `standard_gamma(shape)`.
    pub fn standard_gamma(&mut self, shape: f64) -> f64 {
        match shape {
            0.0 => 0.0,
            1.0 => self.standard_exponential(),
            _ if shape < 1.0 => self.small_gamma(shape),
            _ => self.large_gamma(shape),
        }
    }

    /// Ahrens and Dieter's method GS, shape below 1.
    fn small_gamma(&mut self, shape: f64) -> f64 {
        loop {
            let (u, v) = (self.random_sample(), self.standard_exponential());
            if u <= 1.0 - shape {
                let x = u.powf(1.0 / shape);
                if x <= v {
                    return x;
                }
            } else {
                let y = -((1.0 - u) / shape).ln();
                let x = (1.0 - shape + shape * y).powf(1.0 / shape);
                if x <= v + y {
                    return x;
                }
            }
        }
    }

    /// Marsaglia and Tsang's method, shape above 1.
    fn large_gamma(&mut self, shape: f64) -> f64 {
        let b = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * b).sqrt();
        loop {
            let x = self.standard_normal();
            let v = 1.0 + c * x;
            if v <= 0.0 {
                continue;
            }
            let (v, u) = (v * v * v, self.random_sample());
            let squeezed = u < 1.0 - 0.0331 * (x * x) * (x * x);
            if squeezed || u.ln() < 0.5 * x * x + b * (1.0 - v + v.ln()) {
                return b * v;
            }
        }
    }

    /// `dirichlet(alpha)`.
    pub fn dirichlet(&mut self, alpha: &[f64]) -> Vec<f64> {
        let drawn: Vec<f64> = alpha.iter().map(|&a| self.standard_gamma(a)).collect();
        let inverse = 1.0 / drawn.iter().sum::<f64>();
        drawn.into_iter().map(|x| x * inverse).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn fixture() -> Value {
        serde_json::from_str(include_str!("../../tests/fixtures/numpy_legacy.json")).unwrap()
    }

    fn floats(value: &Value) -> Vec<f64> {
        value.as_array().unwrap().iter().map(|x| x.as_str().unwrap().parse().unwrap()).collect()
    }

    fn whole(value: &Value) -> Vec<usize> {
        value.as_array().unwrap().iter().map(|x| x.as_u64().unwrap() as usize).collect()
    }

    /// Logarithms and powers of another system may differ in their last bit.
    fn assert_near(found: &[f64], wanted: &[f64]) {
        assert_eq!(found.len(), wanted.len());
        for (a, b) in found.iter().zip(wanted) {
            assert!((a - b).abs() <= 4.0 * f64::EPSILON * b.abs(), "{a} is not {b}");
        }
    }

    #[test]
    fn the_core_and_whole_numbers_are_numpys() {
        for case in fixture()["seeds"].as_array().unwrap() {
            let seed = case["seed"].as_u64().unwrap() as u32;
            let mut rng = Legacy::new(seed);
            let drawn: Vec<f64> = (0..5).map(|_| rng.random_sample()).collect();
            assert_eq!(drawn, floats(&case["random_sample"]), "seed {seed}");
            let mut items: Vec<usize> = (0..33).collect();
            let mut rng = Legacy::new(seed);
            rng.shuffle(&mut items);
            assert_eq!(items, whole(&case["shuffle"]), "seed {seed}");
            assert_eq!(rng.permutation(20), whole(&case["permutation"]), "seed {seed}");
            assert_eq!(rng.choice(105, 10), whole(&case["choice"]), "seed {seed}");
        }
        let key = whole(&fixture()["key"]["seed"]).into_iter().map(|x| x as u32).collect::<Vec<_>>();
        let mut rng = Legacy::from_key(&key);
        let drawn: Vec<f64> = (0..5).map(|_| rng.random_sample()).collect();
        assert_eq!(drawn, floats(&fixture()["key"]["random_sample"]));
    }

    #[test]
    fn distributions_are_numpys() {
        for case in fixture()["seeds"].as_array().unwrap() {
            let mut rng = Legacy::new(case["seed"].as_u64().unwrap() as u32);
            for draw in case["binomial"].as_array().unwrap() {
                let (n, p) = (draw["n"].as_u64().unwrap() as u32, draw["p"].as_f64().unwrap());
                let drawn: Vec<usize> = (0..12).map(|_| rng.binomial_inversion(n, p) as usize).collect();
                assert_eq!(drawn, whole(&draw["values"]), "n {n}, p {p}");
            }
            let drawn: Vec<f64> = (0..5).map(|_| rng.standard_normal()).collect();
            assert_near(&drawn, &floats(&case["standard_normal"]));
            for draw in case["dirichlet"].as_array().unwrap() {
                assert_near(&rng.dirichlet(&floats(&draw["alpha"])), &floats(&draw["values"]));
            }
        }
    }

    #[test]
    fn nothing_to_choose_from_is_nothing_chosen() {
        let mut rng = Legacy::new(1);
        assert_eq!(rng.permutation(0), Vec::<usize>::new());
        assert_eq!(rng.choice(1, 3), [0]);
        assert_eq!((rng.binomial_inversion(0, 0.3), rng.binomial_inversion(3, 0.0)), (0, 0));
        assert_eq!(rng.binomial_inversion(3, 1.0), 3);
    }
}
