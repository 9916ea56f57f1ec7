/* Tensors and ports in a few words, for pappus-run. */
#ifndef PP_TOOLS_SHOW_H
#define PP_TOOLS_SHOW_H

#include <stdio.h>

#include "pappus.h"

/* name: float32 [2, 3] = 1 2 3 ... (the first few elements) */
void show_tensor(const char *name, const pp_tensor *t);
/* "float32 [n, 3]": a symbol's name for a size the caller chooses, ? for one that is computed. */
void show_port(FILE *to, const pp_program *program, uint32_t method, const pp_port *port);

#endif
