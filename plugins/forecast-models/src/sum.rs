//! A sum of products for each lane, the innermost work of a step. In WebAssembly it is two vectors by name,
//! since the compiler keeps an array of lanes in memory there; elsewhere it makes vectors of an array.
//! Products are rounded before they are added on every target: no fused operations, so that all agree.

use crate::kernel::{LANES, Lanes};

#[cfg(target_arch = "wasm32")]
pub(crate) use simd128::Sum;

#[cfg(not(target_arch = "wasm32"))]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sum(Lanes);

#[cfg(not(target_arch = "wasm32"))]
impl Sum {
    #[inline(always)]
    pub fn new(value: f32) -> Sum {
        Sum([value; LANES])
    }

    /// Adds `weight · input`.
    #[inline(always)]
    pub fn add(&mut self, weight: f32, input: &Lanes) {
        for (sum, input) in self.0.iter_mut().zip(input) {
            *sum += weight * input;
        }
    }

    #[inline(always)]
    pub fn lanes(self) -> Lanes {
        self.0
    }
}

#[cfg(target_arch = "wasm32")]
mod simd128 {
    use super::{LANES, Lanes};
    use std::arch::wasm32::{
        f32x4, f32x4_add, f32x4_extract_lane as lane, f32x4_mul, f32x4_splat, v128,
    };

    #[derive(Debug, Clone, Copy)]
    pub(crate) struct Sum([v128; LANES / 4]);

    impl Sum {
        #[inline]
        #[target_feature(enable = "simd128")]
        pub fn new(value: f32) -> Sum {
            Sum([f32x4_splat(value); LANES / 4])
        }

        #[inline]
        #[target_feature(enable = "simd128")]
        pub fn add(&mut self, weight: f32, input: &Lanes) {
            let weight = f32x4_splat(weight);
            for (sum, input) in self.0.iter_mut().zip(input.as_chunks::<4>().0) {
                let input = f32x4(input[0], input[1], input[2], input[3]);
                *sum = f32x4_add(*sum, f32x4_mul(weight, input));
            }
        }

        #[inline]
        #[target_feature(enable = "simd128")]
        pub fn lanes(self) -> Lanes {
            let mut lanes = [0.0; LANES];
            for (quad, sum) in lanes.as_chunks_mut::<4>().0.iter_mut().zip(self.0) {
                *quad = [lane::<0>(sum), lane::<1>(sum), lane::<2>(sum), lane::<3>(sum)];
            }
            lanes
        }
    }
}
