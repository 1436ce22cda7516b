//! How much privacy `dp-mean` buys: Rényi accounting of the sampled Gaussian mechanism.
//!
//! Each client takes part in a round with probability q, its clipped update moves the sum by at most c, and noise of
//! deviation z c is added. At an integer order α > 1 one round costs
//!
//! `ε_α = 1/(α − 1) · ln Σ_{k=0}^{α} C(α, k) (1 − q)^{α−k} q^k exp((k² − k) / (2 z²))`
//!
//! (Mironov, Talwar and Zhang, Rényi Differential Privacy of the Sampled Gaussian Mechanism, 2019, Section 3.3); rounds add
//! up, and for a δ
//!
//! `ε = min_α T ε_α + ln((α − 1) / α) − (ln δ + ln α) / (α − 1)`
//!
//! (Balle et al., AISTATS 2020, Theorem 21), never below 0. It protects the presence of one client (add or remove), each drawn
//! by a coin of its own (*Poisson sampling*).
//!
//! A simulation draws a cohort of fixed size without replacement, which is another mechanism. What is commonly reported for it
//! is the above with q the cohort's share: an approximation, [`epsilon`]. A bound that holds for it protects the data of one
//! client (replace one, which moves the sum by up to 2 c): with the unsampled cost `ε(j) = 2 j / z²`
//!
//! `ε_α ≤ 1/(α − 1) · ln(1 + q² C(α, 2) min(4 (e^{ε(2)} − 1), 2 e^{ε(2)}) + Σ_{j=3}^{α} 2 q^j C(α, j) e^{(j − 1) ε(j)})`
//!
//! (Wang, Balle and Kasiviswanathan, Subsampled Rényi Differential Privacy and Analytical Moments Accountant, AISTATS 2019,
//! Theorem 9), and never more than `ε(α)`: [`epsilon_fixed`]. It is much larger where noise is little.

/// What a strategy spends a round.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spending {
    /// Noise multiplier z of all that a round publishes.
    pub noise: f64,
    /// δ.
    pub delta: f64,
}

/// Orders over which [`epsilon`] takes the least.
fn orders() -> impl Iterator<Item = u32> {
    (2..=128).chain([160, 192, 256, 512])
}

/// ε for which `rounds` rounds with share `rate` of the clients and noise multiplier `noise` are (ε, `delta`)-private;
/// infinite without noise.
///
/// By hand: with q = 1 the sum has one term, ε_α = α / (2 z²): z = 10, one round, δ = 1e-5: 0.375, at α = 41.
pub fn epsilon(rate: f64, noise: f64, rounds: u64, delta: f64) -> f64 {
    least(noise, rounds, delta, orders(), |order| renyi(rate, noise, order))
}

/// The same for a cohort of fixed size, drawn without replacement, by the bound that holds for it.
///
/// By hand: with q = 1 it is the unsampled cost at twice the sensitivity, 2 α / z²: z = 20, one round, δ = 1e-5: as
/// `epsilon(1, 10, 1, 1e-5)`.
pub fn epsilon_fixed(rate: f64, noise: f64, rounds: u64, delta: f64) -> f64 {
    least(noise, rounds, delta, orders(), |order| renyi_fixed(rate, noise, order))
}

fn least(noise: f64, rounds: u64, delta: f64, orders: impl Iterator<Item = u32>, cost: impl Fn(u32) -> f64) -> f64 {
    if noise <= 0.0 {
        return f64::INFINITY;
    }
    let at = |order: u32| {
        let a = f64::from(order);
        rounds as f64 * cost(order) + ((a - 1.0) / a).ln() - (delta.ln() + a.ln()) / (a - 1.0)
    };
    orders.map(at).fold(f64::INFINITY, f64::min).max(0.0)
}

/// The cost of one round at an integer order.
fn renyi(rate: f64, noise: f64, order: u32) -> f64 {
    let a = f64::from(order);
    if rate == 0.0 {
        return 0.0;
    }
    if rate >= 1.0 {
        return a / (2.0 * noise * noise);
    }
    let mut choose = 0.0_f64;
    let terms: Vec<f64> = (0..=order)
        .map(|k| {
            let k = f64::from(k);
            let term = choose + (a - k) * (1.0 - rate).ln() + k * rate.ln() + (k * k - k) / (2.0 * noise * noise);
            // ln C(α, k + 1) from ln C(α, k).
            choose += ((a - k) / (k + 1.0)).ln();
            term
        })
        .collect();
    log_sum(&terms) / (a - 1.0)
}

/// The cost of one round at an integer order, for a cohort of fixed size.
fn renyi_fixed(rate: f64, noise: f64, order: u32) -> f64 {
    let a = f64::from(order);
    let unsampled = |j: f64| 2.0 * j / (noise * noise);
    if rate <= 0.0 {
        return 0.0;
    }
    let mut choose = 0.0_f64;
    let mut terms = vec![0.0];
    for j in 1..=order {
        // ln C(α, j) from ln C(α, j − 1).
        let j = f64::from(j);
        choose += ((a - j + 1.0) / j).ln();
        let two = unsampled(2.0);
        if j == 2.0 {
            terms.push(choose + 2.0 * rate.ln() + (4.0_f64.ln() + two.exp_m1().ln()).min(2.0_f64.ln() + two));
        } else if j > 2.0 {
            terms.push(2.0_f64.ln() + choose + j * rate.ln() + (j - 1.0) * unsampled(j));
        }
    }
    (log_sum(&terms) / (a - 1.0)).min(unsampled(a))
}

/// `ln Σ e^t`.
fn log_sum(terms: &[f64]) -> f64 {
    let most = terms.iter().fold(f64::NEG_INFINITY, |m, t| m.max(*t));
    most + terms.iter().map(|t| (t - most).exp()).sum::<f64>().ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_values_of_other_accountants_are_met() {
        // Opacus' documentation of compute_dp_sgd_privacy: 1 % sampled, noise 1.0, 300 steps, δ = 1e-5: 2.39 at order 5
        // of {2, 5, 10, 20, 100}.
        let opacus = least(1.0, 300, 1e-5, [2, 5, 10, 20, 100].into_iter(), |order| renyi(0.01, 1.0, order));
        assert!((opacus - 2.39).abs() < 0.005, "{opacus}");
        // TensorFlow Privacy's tutorial: 256 of 60,000, 14,063 steps, δ = 1e-5: 2.92 with noise 1.12 and 3.01 with 1.1, by
        // the older conversion ε = T ε_α + ln(1/δ) / (α − 1).
        for (noise, published) in [(1.12, 2.92), (1.1, 3.01)] {
            let at =
                |order: u32| 14_063.0 * renyi(256.0 / 60_000.0, noise, order) - 1e-5_f64.ln() / f64::from(order - 1);
            let made = (2..=64).map(at).fold(f64::INFINITY, f64::min);
            assert!((made - published).abs() < 0.006, "{made} is not {published}");
        }
    }

    /// The moments accountant of 2016 to 2018: moments up to 32 and the older conversion.
    fn moments(rate: f64, noise: f64, rounds: f64, delta: f64) -> f64 {
        let at = |order: u32| rounds * renyi(rate, noise, order) - delta.ln() / f64::from(order - 1);
        (2..=33).map(at).fold(f64::INFINITY, f64::min)
    }

    #[test]
    fn abadi_2016_is_met() {
        // Abadi et al., Deep Learning with Differential Privacy, CCS 2016, Section 3.2: q = 0.01, noise 4, 10,000 steps,
        // δ = 1e-5: 1.26.
        let made = moments(0.01, 4.0, 10_000.0, 1e-5);
        assert!((made - 1.26).abs() < 0.005, "{made}");
    }

    #[test]
    fn the_table_of_dp_fedavg_is_met() {
        // McMahan et al., ICLR 2018, Table 1: K users, C of them expected a round, z = 1, δ = K^-1.1, after 1 to 10^6
        // rounds; and Section 4: 4.634 for 763,430 users, 5,000 a round, 5,000 rounds, δ = 1e-9.
        let table: [(f64, f64, [f64; 7]); 5] = [
            (1e5, 1e2, [0.97, 0.98, 1.00, 1.07, 1.18, 2.21, 7.50]),
            (1e6, 1e1, [0.68, 0.69, 0.69, 0.69, 0.69, 0.72, 0.73]),
            (1e6, 1e3, [1.17, 1.17, 1.20, 1.28, 1.39, 2.44, 8.13]),
            (1e6, 1e4, [1.73, 1.92, 2.08, 3.06, 8.49, 32.38, 187.01]),
            (1e9, 1e3, [0.84, 0.84, 0.84, 0.85, 0.88, 0.88, 0.88]),
        ];
        for (users, cohort, published) in table {
            for (power, published) in published.into_iter().enumerate() {
                let made = moments(cohort / users, 1.0, 10_f64.powi(power as i32), users.powf(-1.1));
                assert!((made - published).abs() <= 0.0051, "{users} {cohort} 10^{power}: {made} is not {published}");
            }
        }
        let made = moments(5_000.0 / 763_430.0, 1.0, 5_000.0, 1e-9);
        assert!((made - 4.634).abs() < 0.0005, "{made}");
    }

    #[test]
    fn an_independent_script_in_sixty_digits_is_met() {
        let cases: Vec<serde_json::Value> =
            serde_json::from_str(include_str!("../../tests/fixtures/privacy.json")).unwrap();
        assert_eq!(cases.len(), 7);
        for case in cases {
            let number = |key: &str| case[key].as_f64().unwrap();
            let (rate, noise, delta) = (number("rate"), number("noise"), number("delta"));
            let rounds = case["rounds"].as_u64().unwrap();
            for (made, key) in
                [(epsilon(rate, noise, rounds, delta), "coins"), (epsilon_fixed(rate, noise, rounds, delta), "fixed")]
            {
                let expected = number(key);
                assert!((made - expected).abs() <= 1e-9 * expected.max(1.0), "{key} {case}: {made}");
            }
        }
    }

    #[test]
    fn a_cohort_of_fixed_size_is_never_cheaper_than_nothing_nor_dearer_than_everybody() {
        for noise in [0.7, 2.0, 20.0] {
            let everybody = epsilon_fixed(1.0, noise, 10, 1e-5);
            assert!((everybody - epsilon(1.0, noise / 2.0, 10, 1e-5)).abs() < 1e-9 * everybody);
            let tenth = epsilon_fixed(0.1, noise, 10, 1e-5);
            assert!(tenth <= everybody && tenth >= epsilon_fixed(0.01, noise, 10, 1e-5));
        }
        assert_eq!(epsilon_fixed(0.1, 0.0, 5, 1e-5), f64::INFINITY);
    }

    #[test]
    fn by_hand() {
        let made = epsilon(1.0, 10.0, 1, 1e-5);
        assert!((made - 0.3753).abs() < 1e-4, "{made}");
        assert_eq!((epsilon(0.1, 0.0, 5, 1e-5), epsilon(0.0, 1.0, 5, 1.0)), (f64::INFINITY, 0.0));
    }

    #[test]
    fn more_rounds_more_clients_and_less_noise_cost_privacy() {
        let base = epsilon(0.05, 1.0, 100, 1e-5);
        assert!(base < epsilon(0.05, 1.0, 200, 1e-5));
        assert!(base < epsilon(0.1, 1.0, 100, 1e-5));
        assert!(base < epsilon(0.05, 0.8, 100, 1e-5));
    }
}
