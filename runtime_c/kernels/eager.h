/* Families of the eager engine: gradients, and forms that an exported program never has.
 *
 * Their numbers lie above the schema's, so a file cannot name them, and a build without -DPP_WITH_EAGER=1 has none of
 * them. Operands are f32 and dense in row-major order unless said otherwise; ? may be absent. Sums are added in an order
 * that depends on sizes alone.
 *
 *   PACK             x [O, C, KH, KW], any strides, also negative -> CONV_PANEL16 of the same shape; attr groups
 *   SOFTMAX_GRAD     g, y [outer, n, inner] -> gx; attr log (y is then the logarithm)
 *   NORM_GRAD        g, x [rows, n], w? [n] -> gx, stats [rows, 2] (mean, 1 / deviation); attr kind, float eps
 *   NORM_PARAM_GRAD  g, x [rows, n], stats -> gw, gb [n]
 *   CHANNEL_NORM     x [N, C, P], w?, b? [C] -> y, mean, var [C]; float eps
 *   CHANNEL_NORM_GRAD  g, x [N, C, P], w?, mean, var, gmean, gvar [C] -> gx, gw, gb; float eps
 *   CONV_WEIGHT_GRAD x [N, C, H, W], g [N, O, OH, OW], any strides -> gw [O, C / groups, KH, KW]; attrs of CONV2D
 *   POOL_GRAD        g [N, C, OH, OW], x? [N, C, H, W] (max only) -> gx; attrs of POOL2D
 *   SCATTER_ADD      v [m, d], index [m] i64 -> y [rows, d], which is added to; runs the INDEX check
 */
#ifndef PP_KERNELS_EAGER_H
#define PP_KERNELS_EAGER_H

#define PP_FAMILY_PACK 64
#define PP_FAMILY_SOFTMAX_GRAD 65
#define PP_FAMILY_NORM_GRAD 66
#define PP_FAMILY_NORM_PARAM_GRAD 67
#define PP_FAMILY_CHANNEL_NORM 68
#define PP_FAMILY_CHANNEL_NORM_GRAD 69
#define PP_FAMILY_CONV_WEIGHT_GRAD 70
#define PP_FAMILY_POOL_GRAD 71
#define PP_FAMILY_SCATTER_ADD 72
#define PP_FAMILY_EAGER_END 73

#endif
