/* Reading and writing .npy files, version 1.0, and raw elements, for the tools. */
#ifndef PP_TOOLS_NPY_H
#define PP_TOOLS_NPY_H

#include <stddef.h>
#include <stdint.h>

#include "pappus.h"

/* Bytes of one element, 0 for an unknown dtype; and its name. */
size_t npy_item_size(uint32_t dtype);
const char *npy_dtype_name(uint32_t dtype);
/* Bytes of a dense tensor, SIZE_MAX if that does not fit. */
size_t npy_bytes(const pp_tensor *tensor);

/* What npy_read returns (this very pointer) for a file that does not start like a .npy file. */
extern const char npy_foreign[];
/* Read a file into `tensor` (data from malloc). Returns NULL, or what is wrong with it. */
const char *npy_read(const char *path, pp_tensor *tensor);
/* Write a dense tensor. bfloat16, which numpy does not have, is written as uint16. */
const char *npy_write(const char *path, const pp_tensor *tensor);
/* The same without a header: a whole file's bytes (from malloc), and a dense tensor's. */
const char *npy_read_raw(const char *path, void **data, uint64_t *bytes);
const char *npy_write_raw(const char *path, const pp_tensor *tensor);

#endif
