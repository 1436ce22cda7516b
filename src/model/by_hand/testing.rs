//! What the tests of passes by hand share.

/// Numbers in −1..1 that repeat in no pattern.
pub fn numbers(count: usize, seed: usize) -> Vec<f32> {
    (0..count).map(|i| (((i + 1) as f64 * 0.618_034 + seed as f64 * 0.414_214).fract() * 2.0 - 1.0) as f32).collect()
}

/// Whether numbers are near, relative to the norm of the expected ones.
#[track_caller]
pub fn assert_near(what: &str, found: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{what}: length");
    let norm = |numbers: &mut dyn Iterator<Item = f64>| numbers.map(|x| x * x).sum::<f64>().sqrt();
    let error = norm(&mut found.iter().zip(expected).map(|(&a, b)| f64::from(a) - b));
    let size = norm(&mut expected.iter().copied());
    assert!(error <= tolerance * size, "{what}: error {error:.3e} against a norm of {size:.3e}");
}

/// What is made with vectors of 1, 4, 8 and 16 numbers, in software, has the same bytes.
macro_rules! on_all_vectors {
    (|$simd:ident| $made:expr) => {{
        let alone = {
            let $simd = pulp::Scalar;
            $made
        };
        assert_eq!(
            alone,
            {
                let $simd = pulp::Scalar128b;
                $made
            },
            "vectors of 4"
        );
        assert_eq!(
            alone,
            {
                let $simd = pulp::Scalar256b;
                $made
            },
            "vectors of 8"
        );
        assert_eq!(
            alone,
            {
                let $simd = pulp::Scalar512b;
                $made
            },
            "vectors of 16"
        );
    }};
}
pub(super) use on_all_vectors;
