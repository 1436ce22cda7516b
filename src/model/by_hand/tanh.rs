//! Hyperbolic tangent and logistic function of a vector.

use pulp::Simd;

/// Where tanh is 1 in f32 but for three units in the last place.
const LIMIT: f32 = 7.9;
/// `tanh(x) ≈ x P(x²)/Q(x²)` with the least relative error up to [`LIMIT`], 6e-9; `tests/fixtures/tanh.py` fits it. In f32
/// it is within 6 units in the last place.
const P: [f32; 5] = [1.0, 0.134_506_29, 3.579_002_3e-3, 2.202_341_4e-5, 1.542_821_3e-8];
const Q: [f32; 5] = [1.0, 0.467_839_57, 2.619_227_8e-2, 3.423_667_2e-4, 8.598_877e-7];

/// `tanh(x)`; NaN stays NaN.
#[inline(always)]
pub fn tanh<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    // Minimum and maximum give their second argument where one is NaN.
    let x = simd.max_f32s(simd.splat_f32s(-LIMIT), simd.min_f32s(simd.splat_f32s(LIMIT), x));
    let square = simd.mul_f32s(x, x);
    let above = simd.mul_f32s(x, polynomial(simd, square, P));
    simd.div_f32s(above, polynomial(simd, square, Q))
}

/// `σ(x) = (1 + tanh(x/2))/2`.
#[inline(always)]
pub fn sigmoid<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let half = simd.splat_f32s(0.5);
    simd.mul_add_f32s(half, tanh(simd, simd.mul_f32s(half, x)), half)
}

/// Horner's scheme.
#[inline(always)]
fn polynomial<S: Simd>(simd: S, x: S::f32s, [a, b, c, d, e]: [f32; 5]) -> S::f32s {
    let mut sum = simd.splat_f32s(e);
    for coefficient in [d, c, b, a] {
        sum = simd.mul_add_f32s(sum, x, simd.splat_f32s(coefficient));
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use pulp::Arch;

    #[pulp::with_simd(of_all = Arch::new())]
    #[inline(always)]
    fn of_all_with<S: Simd>(simd: S, x: &mut [f32]) {
        for x in S::as_mut_simd_f32s(x).0 {
            *x = tanh(simd, *x);
        }
    }

    #[test]
    fn within_six_units_in_the_last_place() {
        let mut x: Vec<f32> = (-(1 << 20)..1 << 20).map(|i| i as f32 * 1e-5).collect();
        x.extend((0..1024).map(|i| 1e-30 * 1.07f32.powi(i)));
        x.extend([[f32::INFINITY; 16], [f32::NEG_INFINITY; 16], [0.0; 16]].concat());
        let mut found = x.clone();
        of_all(&mut found);
        for (&x, &found) in x.iter().zip(&found) {
            let exact = f64::from(x).tanh();
            let unit = f64::from((exact as f32).abs().next_up()) - f64::from((exact as f32).abs());
            assert!((f64::from(found) - exact).abs() <= 6.0 * unit, "tanh({x}) is {exact}, not {found}");
        }
        let mut nan = [f32::NAN; 64];
        of_all(&mut nan);
        assert!(nan.iter().all(|x| x.is_nan()));
    }
}
