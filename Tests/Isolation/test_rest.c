#include "harness.h"
void test_streams(void) {}
void test_files(void) {}
void test_large(void) {}
void test_concurrency(void) {}
void test_deaths(void) {}
void test_deadlines(void) {}
void test_garbage(void) {}
