//! The circle group over M31 and its secure points (PROTOCOL 2).
//!
//! A storage position is a bit-reversed index, so its bit i turns the first point of a domain by 1/2^(i+1) of the
//! circle, whatever the domain's size: points of all domains come from one table of rotations.

#[feature("bounded-int-utils")]
use core::internal::bounded_int::{add as wide_add, sub as wide_sub, upcast};
use crate::m31;
use crate::m31::{AddS1, M31, SubS1, product, reduce};
use crate::qm31;
use crate::qm31::QM31;

#[derive(Copy, Drop, PartialEq, Debug)]
pub struct Point {
    pub x: M31,
    pub y: M31,
}

#[derive(Copy, Drop, PartialEq, Debug)]
pub struct SecurePoint {
    pub x: QM31,
    pub y: QM31,
}

pub const MAX_DOMAIN_LOG: u32 = 28; // positions of seven windows of four bits

pub fn add(p: Point, q: Point) -> Point {
    Point {
        x: reduce(upcast(wide_sub(product(p.x, q.x), product(p.y, q.y)))),
        y: reduce(upcast(wide_add(product(p.x, q.y), product(p.y, q.x)))),
    }
}

/// p - q.
pub fn subtract(p: Point, q: Point) -> Point {
    Point {
        x: reduce(upcast(wide_add(product(p.x, q.x), product(p.y, q.y)))),
        y: reduce(upcast(wide_sub(product(p.y, q.x), product(p.x, q.y)))),
    }
}

pub fn double(p: Point) -> Point {
    let xy = product(p.x, p.y);
    Point {
        x: reduce(upcast(wide_sub(product(p.x, p.x), product(p.y, p.y)))), y: reduce(upcast(wide_add(xy, xy))),
    }
}

pub fn conjugate(p: Point) -> Point {
    Point { x: p.x, y: m31::neg(p.y) }
}

/// 2^k times the generator of the whole group, k <= 30.
pub fn doubled_generator(k: u32) -> Point {
    *DOUBLED.span()[k]
}

/// The turn that the low four bits of a storage position stand for.
pub fn rotation(bits: u32) -> Point {
    *ROTATIONS.span()[bits]
}

/// The point at a position of the line domain whose half-odds coset has 2^log_size points, log_size <= 28.
pub fn line_point(position: u32, log_size: u32) -> Point {
    let mut point = doubled_generator(29 - log_size);
    let mut window = 0;
    let mut rest = position;
    while rest != 0 {
        let (above, bits) = DivRem::div_rem(rest, 16);
        if bits != 0 {
            point = add(point, *ROTATIONS.span()[window + bits]);
        }
        rest = above;
        window += 16;
    }
    point
}

pub fn secure_add(p: SecurePoint, q: Point) -> SecurePoint {
    SecurePoint {
        x: qm31::sub(qm31::mul_base(p.x, q.x), qm31::mul_base(p.y, q.y)),
        y: qm31::add(qm31::mul_base(p.x, q.y), qm31::mul_base(p.y, q.x)),
    }
}

/// ((1 - t^2) / (1 + t^2), 2t / (1 + t^2)). Panics where 1 + t^2 = 0.
pub fn secure_point(t: QM31) -> SecurePoint {
    let square = qm31::mul(t, t);
    let scale = qm31::inverse(qm31::add_base(square, m31::ONE), 'oods: exceptional point');
    SecurePoint {
        x: qm31::mul(qm31::sub(qm31::ONE, square), scale), y: qm31::mul(qm31::add(t, t), scale),
    }
}

/// V_n at a point of x coordinate x: x doubled n - 1 times.
pub fn vanishing(x: QM31, log_size: u32) -> QM31 {
    let mut value = x;
    for _ in 1..log_size {
        let square = qm31::mul(value, value);
        value = qm31::sub_base(qm31::add(square, square), m31::ONE);
    }
    value
}

const DOUBLED: [Point; 31] = [
    Point { x: 2, y: 1268011823 }, Point { x: 7, y: 777079998 }, Point { x: 97, y: 141701737 },
    Point { x: 18817, y: 1720333214 }, Point { x: 708158977, y: 683185920 }, Point { x: 334835419, y: 1444967316 },
    Point { x: 2042371533, y: 1362265296 }, Point { x: 212706801, y: 1223819887 },
    Point { x: 421007138, y: 256177860 }, Point { x: 6346213, y: 905523693 }, Point { x: 1022251061, y: 788094511 },
    Point { x: 1633461177, y: 574296567 }, Point { x: 595037635, y: 2111542451 },
    Point { x: 1799120754, y: 343598868 }, Point { x: 438833264, y: 1327019128 },
    Point { x: 1389168750, y: 838891026 }, Point { x: 1543902459, y: 1632329423 },
    Point { x: 1330239767, y: 1446369578 }, Point { x: 1420207432, y: 2023238517 },
    Point { x: 2015554631, y: 1088093947 }, Point { x: 996212859, y: 1140996376 },
    Point { x: 1434706457, y: 1835793811 }, Point { x: 13610297, y: 1064696601 },
    Point { x: 785043271, y: 1260750973 }, Point { x: 838195206, y: 1774253895 },
    Point { x: 579625837, y: 1690787918 }, Point { x: 1179735656, y: 1241207368 },
    Point { x: 590768354, y: 978592373 }, Point { x: 32768, y: 2147450879 }, Point { x: 0, y: 2147483646 },
    Point { x: 2147483646, y: 0 },
];
const ROTATIONS: [Point; 112] = [
    Point { x: 1, y: 0 }, Point { x: 2147483646, y: 0 }, Point { x: 0, y: 2147483646 }, Point { x: 0, y: 1 },
    Point { x: 32768, y: 2147450879 }, Point { x: 2147450879, y: 32768 }, Point { x: 2147450879, y: 2147450879 },
    Point { x: 32768, y: 32768 }, Point { x: 590768354, y: 978592373 }, Point { x: 1556715293, y: 1168891274 },
    Point { x: 978592373, y: 1556715293 }, Point { x: 1168891274, y: 590768354 },
    Point { x: 1168891274, y: 1556715293 }, Point { x: 978592373, y: 590768354 },
    Point { x: 1556715293, y: 978592373 }, Point { x: 590768354, y: 1168891274 }, Point { x: 1, y: 0 },
    Point { x: 1179735656, y: 1241207368 }, Point { x: 579625837, y: 1690787918 },
    Point { x: 1866536500, y: 1133522282 }, Point { x: 838195206, y: 1774253895 },
    Point { x: 2140339328, y: 404685994 }, Point { x: 2013328190, y: 1108537731 },
    Point { x: 1263730590, y: 350742286 }, Point { x: 785043271, y: 1260750973 },
    Point { x: 1911378744, y: 1577470940 }, Point { x: 251924953, y: 636875771 },
    Point { x: 640817200, y: 1702126977 }, Point { x: 1357626641, y: 2066105389 },
    Point { x: 1563928157, y: 849605071 }, Point { x: 141956360, y: 170449934 },
    Point { x: 1067683608, y: 1949783546 }, Point { x: 1, y: 0 }, Point { x: 13610297, y: 1064696601 },
    Point { x: 1434706457, y: 1835793811 }, Point { x: 609228044, y: 827893883 },
    Point { x: 996212859, y: 1140996376 }, Point { x: 903851705, y: 1384342623 },
    Point { x: 497251457, y: 850319468 }, Point { x: 1272801243, y: 632096738 },
    Point { x: 2015554631, y: 1088093947 }, Point { x: 1818030451, y: 1183201954 },
    Point { x: 108989434, y: 171027633 }, Point { x: 1215555130, y: 798189752 },
    Point { x: 816867225, y: 1001272228 }, Point { x: 505405055, y: 327810224 },
    Point { x: 1658851911, y: 228916482 }, Point { x: 2020345262, y: 2075173999 }, Point { x: 1, y: 0 },
    Point { x: 1420207432, y: 2023238517 }, Point { x: 1330239767, y: 1446369578 },
    Point { x: 113986326, y: 1659849761 }, Point { x: 1543902459, y: 1632329423 },
    Point { x: 837291277, y: 535367851 }, Point { x: 1338697498, y: 1881711368 },
    Point { x: 1128628559, y: 487113817 }, Point { x: 1389168750, y: 838891026 },
    Point { x: 240698073, y: 476721530 }, Point { x: 296310565, y: 109983397 },
    Point { x: 472230981, y: 1127178204 }, Point { x: 13191618, y: 303576968 },
    Point { x: 1363572456, y: 1209117074 }, Point { x: 1577483195, y: 846841358 },
    Point { x: 389608651, y: 1555639321 }, Point { x: 1, y: 0 }, Point { x: 438833264, y: 1327019128 },
    Point { x: 1799120754, y: 343598868 }, Point { x: 503318431, y: 730224775 },
    Point { x: 595037635, y: 2111542451 }, Point { x: 433600440, y: 167145119 },
    Point { x: 1475016787, y: 1876816901 }, Point { x: 1124768046, y: 299494314 },
    Point { x: 1633461177, y: 574296567 }, Point { x: 1139757936, y: 161139962 },
    Point { x: 1242192167, y: 1322293366 }, Point { x: 2056541252, y: 1900478857 },
    Point { x: 1121167, y: 714917308 }, Point { x: 286695904, y: 1021278776 },
    Point { x: 1731306458, y: 1551812567 }, Point { x: 1155186462, y: 790771269 }, Point { x: 1, y: 0 },
    Point { x: 1022251061, y: 788094511 }, Point { x: 6346213, y: 905523693 }, Point { x: 999230472, y: 1852479283 },
    Point { x: 421007138, y: 256177860 }, Point { x: 1774187400, y: 1713497086 },
    Point { x: 784830374, y: 912241638 }, Point { x: 344093444, y: 1723950257 },
    Point { x: 212706801, y: 1223819887 }, Point { x: 2144756169, y: 1973977555 },
    Point { x: 982766847, y: 1369509443 }, Point { x: 288424812, y: 1959942454 },
    Point { x: 1594705154, y: 1156423391 }, Point { x: 105012991, y: 261334420 },
    Point { x: 1475671350, y: 739745329 }, Point { x: 203869561, y: 313423390 }, Point { x: 1, y: 0 },
    Point { x: 2042371533, y: 1362265296 }, Point { x: 334835419, y: 1444967316 },
    Point { x: 1827909629, y: 1836816527 }, Point { x: 708158977, y: 683185920 },
    Point { x: 251214192, y: 1557021428 }, Point { x: 1179671875, y: 1031913030 },
    Point { x: 2110227055, y: 661472412 }, Point { x: 18817, y: 1720333214 }, Point { x: 360409545, y: 241565342 },
    Point { x: 1326739366, y: 1694702828 }, Point { x: 595835346, y: 937999867 },
    Point { x: 582862331, y: 1771841829 }, Point { x: 611478089, y: 464063968 },
    Point { x: 1662653600, y: 373479491 }, Point { x: 1743886464, y: 1431800964 },
];
