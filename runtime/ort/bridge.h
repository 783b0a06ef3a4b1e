// The part of the binding's onnxruntime_wrapper.h that this package calls, copied word for word. Its functions are linked
// into every program that imports the binding. TestBridge compares the two headers.

#ifndef ONNX_INJECT_BRIDGE_H
#define ONNX_INJECT_BRIDGE_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

typedef struct OrtStatus OrtStatus;
typedef struct OrtSession OrtSession;
typedef struct OrtValue OrtValue;
typedef struct OrtRunOptions OrtRunOptions;
typedef struct OrtMemoryInfo OrtMemoryInfo;
typedef struct OrtTypeInfo OrtTypeInfo;
typedef struct OrtTensorTypeAndShapeInfo OrtTensorTypeAndShapeInfo;
typedef enum ONNXTensorElementDataType { ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED } ONNXTensorElementDataType;
enum ONNXType { ONNX_TYPE_UNKNOWN, ONNX_TYPE_TENSOR };

const char *GetErrorMessage(OrtStatus *status);
void ReleaseOrtStatus(OrtStatus *status);
OrtStatus *RunOrtSessionWithOptions(OrtSession *session, OrtValue **inputs, char **input_names, int input_count, OrtValue **outputs, char **output_names, int output_count, OrtRunOptions *run_options);
void ReleaseOrtValue(OrtValue *value);
OrtStatus *CreateOrtTensorWithShape(void *data, size_t data_size, int64_t *shape, int64_t shape_size, OrtMemoryInfo *mem_info, ONNXTensorElementDataType dtype, OrtValue **out);
OrtStatus *CreateTensorAsOrtValue(int64_t *shape, int64_t shape_size, ONNXTensorElementDataType dtype, OrtValue **out);
OrtStatus *GetTensorTypeAndShape(const OrtValue *value, OrtTensorTypeAndShapeInfo **out);
OrtStatus *GetDimensionsCount(const OrtTensorTypeAndShapeInfo *info, size_t *out);
OrtStatus *GetDimensions(const OrtTensorTypeAndShapeInfo *info, int64_t *dim_values, size_t dim_values_length);
OrtStatus *GetTensorElementType(const OrtTensorTypeAndShapeInfo *info, enum ONNXTensorElementDataType *out);
void ReleaseTensorTypeAndShapeInfo(OrtTensorTypeAndShapeInfo *input);
OrtStatus *GetTensorMutableData(OrtValue *value, void **out);
OrtStatus *GetValueType(OrtValue *v, enum ONNXType *out);
OrtStatus *SessionGetInputCount(OrtSession *session, size_t *result);
OrtStatus *SessionGetOutputCount(OrtSession *session, size_t *result);
OrtStatus *SessionGetInputName(OrtSession *session, size_t i, char **name);
OrtStatus *SessionGetOutputName(OrtSession *session, size_t i, char **name);
OrtStatus *FreeWithDefaultORTAllocator(void *to_free);
OrtStatus *SessionGetInputTypeInfo(OrtSession *session, size_t i, OrtTypeInfo **out);
OrtStatus *SessionGetOutputTypeInfo(OrtSession *session, size_t i, OrtTypeInfo **out);
OrtStatus *CastTypeInfoToTensorInfo(OrtTypeInfo *type_info, OrtTensorTypeAndShapeInfo **out);
OrtStatus *GetONNXTypeFromTypeInfo(OrtTypeInfo *info, enum ONNXType *out);
void ReleaseTypeInfo(OrtTypeInfo *o);

#endif
