# Helpers that give every target of the project the same warnings, sanitizers and include root.

# Programs are compiled like libraries (-fPIC instead of -fPIE): a precompiled header serves only files that are
# compiled with its own flags.
set(CMAKE_CXX_COMPILE_OPTIONS_PIE "-fPIC")

# kandinsky_library(NAME SOURCES... [LIBS libs...]): a static library with the project's settings.
function(kandinsky_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LIBS" ${ARGN})
  if(ARG_SOURCES)
    add_library(${name} STATIC ${ARG_SOURCES})
    kandinsky_settings(${name})
    target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR})
    target_link_libraries(${name} PUBLIC ${ARG_LIBS})
  else()
    add_library(${name} INTERFACE)
    target_include_directories(${name} INTERFACE ${PROJECT_SOURCE_DIR})
    target_link_libraries(${name} INTERFACE ${ARG_LIBS})
  endif()
endfunction()

# kandinsky_executable(NAME SOURCES... [LIBS libs...]): a program with the project's settings.
function(kandinsky_executable name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LIBS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  kandinsky_settings(${name})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE ${ARG_LIBS})
endfunction()

# kandinsky_torch_library: as kandinsky_library, with libtorch and the shared precompiled torch header.
function(kandinsky_torch_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LIBS" ${ARGN})
  kandinsky_library(${name} SOURCES ${ARG_SOURCES} LIBS ${ARG_LIBS} libtorch::cpu)
  target_precompile_headers(${name} REUSE_FROM kandinsky_torch_pch)
endfunction()

# kandinsky_test(NAME SOURCES... [LIBS libs...] [TORCH] [TOGETHER]): a GoogleTest program; each test is one ctest entry,
# labeled with the folder below tests/. TOGETHER: with a sanitizer the whole program is one entry, since starting an
# instrumented process takes longer than such a test.
function(kandinsky_test name)
  cmake_parse_arguments(ARG "TORCH;TOGETHER" "" "SOURCES;LIBS;PROPERTIES" ${ARGN})
  kandinsky_executable(${name} SOURCES ${ARG_SOURCES} LIBS ${ARG_LIBS} GTest::gtest GTest::gmock GTest::gtest_main)
  target_compile_definitions(${name} PRIVATE KANDINSKY_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  if(ARG_TORCH)
    target_link_libraries(${name} PRIVATE libtorch::cpu)
    target_precompile_headers(${name} REUSE_FROM kandinsky_torch_pch)
    # Several test programs run at once; idle OpenMP threads that spin would slow each other down.
    list(APPEND ARG_PROPERTIES ENVIRONMENT OMP_NUM_THREADS=1)
  endif()
  cmake_path(RELATIVE_PATH CMAKE_CURRENT_SOURCE_DIR BASE_DIRECTORY ${PROJECT_SOURCE_DIR}/tests OUTPUT_VARIABLE folder)
  string(REGEX REPLACE "/.*" "" folder "${folder}")
  if(ARG_TOGETHER AND KANDINSKY_SANITIZER)
    add_test(NAME ${name} COMMAND ${name})
    set_tests_properties(${name} PROPERTIES TIMEOUT 300 LABELS ${folder} ${ARG_PROPERTIES})
  else()
    gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 120
      PROPERTIES TIMEOUT 300 LABELS ${folder} ${ARG_PROPERTIES})
  endif()
endfunction()

function(kandinsky_settings name)
  target_compile_options(${name} PRIVATE -Wall -Wextra -Werror)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    target_compile_options(${name} PRIVATE -Wthread-safety)
  endif()
  if(KANDINSKY_SANITIZER)
    target_compile_options(${name} PRIVATE -fsanitize=${KANDINSKY_SANITIZER} -fno-omit-frame-pointer -g1)
    target_link_options(${name} PUBLIC -fsanitize=${KANDINSKY_SANITIZER})
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
      # Instrumented code hides from the optimizer that an optional which is read was written.
      target_compile_options(${name} PRIVATE -Wno-maybe-uninitialized)
    endif()
  endif()
endfunction()
